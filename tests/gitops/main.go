// gitops evaluates the rules of deploy/argocd and deploy/flux with the interpreters that Argo CD and Flux have: gopher-lua,
// with the libraries that Argo CD opens, and cel-go.
//
// It reads one JSON object per line, {"lua": SCRIPT, "object": OBJECT} or {"cel": EXPRESSION, "object": OBJECT}, and
// answers each with a line: {"value": VALUE} or {"error": TEXT}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

type question struct {
	Lua    string         `json:"lua"`
	CEL    string         `json:"cel"`
	Object map[string]any `json:"object"`
}

type answer struct {
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<22)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		if err := out.Encode(reply(lines.Bytes())); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func reply(line []byte) answer {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{Error: err.Error()}
	}
	evaluate := evaluateLua
	if asked.CEL != "" {
		evaluate = evaluateCEL
	}
	value, err := evaluate(asked)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Value: value}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gitops:", err)
	os.Exit(1)
}
