// external-secrets with the providers that need no cloud: its own command, its own controllers.
package main

import "github.com/external-secrets/external-secrets/cmd/controller"

func main() {
	controller.Execute()
}
