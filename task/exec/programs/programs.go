// Package programs holds the example programs of the wasm runtime: small Go
// programs that read standard input and write standard output.
package programs

import (
	"context"
	"errors"
)

// The names of the example programs.
const (
	TextStats = "textstats" // text to JSON: lines, words, the most frequent words
	JSONXform = "jsonxform" // a JSON document with its own instructions to JSON
	Edges     = "edges"     // PNG to PNG: where the picture changes
)

// Names returns the names of all programs, sorted.
func Names() []string { return []string{Edges, JSONXform, TextStats} }

// Build compiles the named program with the local Go toolchain into
// dir/<name>.wasm and returns that path. The same source and toolchain give
// the same bytes.
func Build(ctx context.Context, name, dir string) (path string, err error) {
	return "", errors.ErrUnsupported
}

// Load returns the named program: the one embedded in a release build, or else
// one compiled now.
func Load(ctx context.Context, name string) ([]byte, error) { return nil, errors.ErrUnsupported }
