package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node"
)

// build is what `version --json` prints.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Version: node.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func versionText() string { return readBuild().Version }

func (p program) version() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "what this binary is",
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 0, 0); err != nil {
				return err
			}
			b := readBuild()
			return p.show(c, b, func(w io.Writer) {
				fmt.Fprintf(w, "sage-p2p %s (%s, %s)\n", b.Version, b.Go, b.Platform)
			})
		},
	}
}
