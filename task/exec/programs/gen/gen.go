//go:build ignore

// Command gen compiles the example programs into wasm/<name>.wasm.gz, for a
// release build with -tags embed_programs. The files are not committed.
package main

import (
	"compress/gzip"
	"context"
	"log"
	"os"
	"path/filepath"

	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

func main() {
	if err := os.MkdirAll("wasm", 0o755); err != nil {
		log.Fatal(err)
	}
	for _, name := range programs.Names() {
		if err := pack(name); err != nil {
			log.Fatal(err)
		}
	}
}

func pack(name string) error {
	module, err := programs.Load(context.Background(), name)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join("wasm", name+".wasm.gz"))
	if err != nil {
		return err
	}
	defer file.Close()
	packed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := packed.Write(module); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return file.Close()
}
