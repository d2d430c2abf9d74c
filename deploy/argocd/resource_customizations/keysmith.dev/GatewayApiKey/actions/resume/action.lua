-- Taken away and not set to false, so that nothing is left that git does not have.
obj.spec.suspend = nil
return obj
