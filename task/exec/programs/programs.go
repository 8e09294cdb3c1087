// Package programs holds the example programs of the wasm runtime: small Go
// programs that read standard input and write standard output.
//
// Their source travels in the binary, and [Load] compiles it where a Go
// toolchain is. A release build (-tags embed_programs, after go generate)
// carries them compiled, and needs none.
package programs

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:generate go run ./gen/gen.go

// The names of the example programs.
const (
	TextStats = "textstats" // text to JSON: lines, words, the most frequent words
	JSONXform = "jsonxform" // a JSON document with its own instructions to JSON
	Edges     = "edges"     // PNG to PNG: where the picture changes
)

var (
	// ErrUnknown reports a name that is not one of [Names].
	ErrUnknown = errors.New("programs: unknown program")

	// ErrNoToolchain reports that a program is not embedded in this binary and
	// that there is no Go toolchain to compile it with.
	ErrNoToolchain = errors.New("programs: no Go toolchain found: install Go, or use a release build, which embeds the programs")
)

//go:embed edges/main.go jsonxform/main.go textstats/main.go
var sources embed.FS

//go:embed samples
var samples embed.FS

// Names returns the names of all programs, sorted.
func Names() []string { return []string{Edges, JSONXform, TextStats} }

// Load returns the named program: the one embedded in a release build, or else
// one compiled now.
func Load(ctx context.Context, name string) ([]byte, error) {
	if compressed, err := compiled.ReadFile("wasm/" + name + ".wasm.gz"); err == nil {
		unpacked, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			return nil, fmt.Errorf("programs: embedded %s: %w", name, err)
		}
		return io.ReadAll(unpacked)
	}
	dir, err := os.MkdirTemp("", "sage-programs-")
	if err != nil {
		return nil, fmt.Errorf("programs: %w", err)
	}
	defer os.RemoveAll(dir)
	file, err := Build(ctx, name, dir)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// Build compiles the named program with the local Go toolchain into
// dir/<name>.wasm and returns that path. The same source and toolchain give
// the same bytes.
func Build(ctx context.Context, name, dir string) (string, error) {
	if !slices.Contains(Names(), name) {
		return "", fmt.Errorf("%w: have %q, want one of %v", ErrUnknown, name, Names())
	}
	work, err := os.MkdirTemp("", "sage-program-")
	if err != nil {
		return "", fmt.Errorf("programs: %w", err)
	}
	defer os.RemoveAll(work)
	source, err := fs.Sub(sources, name)
	if err != nil {
		return "", fmt.Errorf("programs: %w", err)
	}
	if err := os.CopyFS(work, source); err != nil {
		return "", fmt.Errorf("programs: %w", err)
	}
	target := filepath.Join(dir, name+".wasm")
	return target, Compile(ctx, work, target)
}

// Compile compiles the Go files in a directory, one program that uses only the
// standard library, into a WebAssembly module. The bytes depend on the files
// and the toolchain alone, not on where the directory is.
func Compile(ctx context.Context, dir, target string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("programs: no Go files in %s", dir)
	}
	target, err = filepath.Abs(target)
	if err != nil {
		return fmt.Errorf("programs: %w", err)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", target}
	for _, file := range files {
		args = append(args, filepath.Base(file))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWASM=", "CGO_ENABLED=0",
		"GO111MODULE=off", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off")
	output, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return ErrNoToolchain
	}
	if err != nil {
		return fmt.Errorf("programs: compile %s: %w\n%s", path.Base(strings.TrimSuffix(target, ".wasm")), err, output)
	}
	return nil
}

// Sample returns an input for the named program: an English text, a document
// with steps and records, a picture of a house (240 × 160).
func Sample(name string) ([]byte, error) {
	file, known := map[string]string{TextStats: "textstats.txt", JSONXform: "jsonxform.json", Edges: "edges.png"}[name]
	if !known {
		return nil, fmt.Errorf("%w: have %q, want one of %v", ErrUnknown, name, Names())
	}
	return samples.ReadFile("samples/" + file)
}
