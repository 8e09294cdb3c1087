// Command child is the child of the wasm runtime and nothing else, for tests
// whose own binary is slow.
package main

import "github.com/sage-p2p/sage-p2p/task/exec"

func main() { exec.ChildMain() }
