package main

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

// evaluateCEL evaluates an expression as Flux does in healthCheckExprs: the parts of the object are variables, and the
// result has to be a bool.
func evaluateCEL(asked question) (any, error) {
	options := []cel.EnvOption{
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Sets(),
		ext.Encoders(),
	}
	for _, name := range []string{"apiVersion", "kind"} {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	for _, name := range []string{"metadata", "spec", "status", "data"} {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(asked.CEL)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := env.Program(checked)
	if err != nil {
		return nil, err
	}
	result, _, err := program.Eval(asked.Object)
	if err != nil {
		return nil, err
	}
	return result.Value(), nil
}
