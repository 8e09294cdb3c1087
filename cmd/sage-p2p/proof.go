package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// outFlag names where a proof goes.
func outFlag() cli.Flag {
	return &cli.StringFlag{Name: "out", Usage: "`FILE` to write (default: standard output)"}
}

func (p program) receipt() *cli.Command {
	return &cli.Command{
		Name: "receipt", ArgsUsage: "TASK", Usage: "prove how a settled task was paid, in a file for anyone",
		Description: "Whoever has the genesis of the federation can check the file, without a node:\nsage-p2p verify FILE",
		Flags:       []cli.Flag{outFlag()},
		Action: p.speaks(1, 1, func(s *session) error {
			proof, err := s.node.TaskReceipt(s.Context.Context, s.Args().First())
			if err != nil {
				return err
			}
			return s.handOver("receipt", proof)
		}),
	}
}

func (p program) account() *cli.Command {
	return &cli.Command{
		Name:  "account",
		Usage: "what an account has, proven",
		Subcommands: []*cli.Command{{
			Name: "prove", ArgsUsage: "ACCOUNT", Usage: "prove what an account has after the newest block, in a file for anyone",
			Description: "Whoever has the genesis of the federation can check the file, without a node:\nsage-p2p verify FILE",
			Flags:       []cli.Flag{outFlag()},
			Action: p.speaks(1, 1, func(s *session) error {
				proof, err := s.node.AccountProof(s.Context.Context, s.Args().First())
				if err != nil {
					return err
				}
				return s.handOver("proof", proof)
			}),
		}},
	}
}

// handed is a proof that was written.
type handed struct {
	File  string `json:"file"`
	Bytes int    `json:"bytes"`
}

// handOver writes a proof where --out says.
func (s *session) handOver(what string, proof []byte) error {
	file := s.String("out")
	switch {
	case file == "" && s.screen:
		return usagef("a %s is no text for a terminal", what).hint("write it to a file with --out FILE, or send it into a pipe")
	case file == "":
		_, err := s.out.Write(proof)
		return err
	}
	if err := writeWhole(file, proof); err != nil {
		return err
	}
	return s.show(handed{file, len(proof)}, func(w io.Writer) {
		fmt.Fprintf(w, "%s of %d bytes written to %s\n  check it with: %s\n", what, len(proof), clean(file), s.command("verify "+quote(file)))
	})
}

// writeWhole writes a file whole or not at all.
func writeWhole(file string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".sage-proof-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // of no use to anyone
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func (p program) verify() *cli.Command {
	return &cli.Command{
		Name: "verify", ArgsUsage: "FILE", Usage: "check a receipt or a proof, with nothing but the genesis",
		Description: "It asks no node. The genesis is all that is trusted: that its validators, and\n" +
			"those who came after them, agreed on what the file shows is then computed.",
		Flags: []cli.Flag{&cli.StringFlag{Name: "genesis", Usage: "`FILE` of the federation's genesis", DefaultText: genesisFile + " in --home"}},
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 1, 1); err != nil {
				return err
			}
			g, err := p.trusted(c)
			if err != nil {
				return err
			}
			file := c.Args().First()
			proven, err := verifyFile(file, g)
			if err != nil {
				if !c.Bool("json") {
					printWalk(p.out, g, proven)
				}
				return err
			}
			return p.show(c, viewProven(g, proven), func(w io.Writer) { printProven(w, g, proven) })
		},
	}
}

// trusted reads the genesis that everything is checked against.
func (p program) trusted(c *cli.Context) (chain.Genesis, error) {
	file := c.String("genesis")
	if file == "" {
		file = filepath.Join(c.String("home"), genesisFile)
	}
	g, err := readGenesis(file)
	if errors.Is(err, fs.ErrNotExist) {
		return g, failedf("there is no genesis at %s, and without one nothing can be checked", file).
			hint("name the %s of the federation with --genesis FILE; any of its platforms has it in its home", genesisFile)
	}
	return g, err
}

// verifyFile checks a proof. What it returns with an error is what holds.
func verifyFile(file string, g chain.Genesis) (chain.Proven, error) {
	raw, err := readProof(file)
	if err != nil {
		return chain.Proven{}, err
	}
	p, err := chain.DecodeProof(raw)
	if err != nil {
		return chain.Proven{}, notProven(file, err)
	}
	proven, err := p.Verify(bft.ZIP215{}, rand.Reader, g)
	if err != nil {
		return proven, notProven(file, err)
	}
	return proven, nil
}

// readProof reads no more of a file than a proof can have.
func readProof(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, chain.MaxProofBytes+1))
	if err == nil && len(raw) > chain.MaxProofBytes {
		err = failedf("%s is no proof: it has more than %d bytes", file, chain.MaxProofBytes)
	}
	return raw, err
}

// origins are where in the program the parts of an error come from.
var origins = regexp.MustCompile(`(?:atp|bft|chain|task): |(?:invalid|malformed): |the proof does not hold: `)

func notProven(file string, err error) error {
	return failedf("%s proves nothing: %s", file, clean(origins.ReplaceAllString(err.Error(), ""))).
		hint("ask for it again where it came from, and see that it is of the federation whose genesis you have")
}
