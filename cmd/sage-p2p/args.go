package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts args into the order that the parser needs: global flags, the
// command, its flags, then what is no flag. So flags may be given anywhere:
// `balance thor --json`, `lock create thor 5 --until +30m`.
func arrange(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	var global, command, local, plain []string
	commands, flags := app.Commands, app.Flags
	for rest := args[1:]; len(rest) > 0; {
		arg := rest[0]
		rest = rest[1:]
		if arg == "--" {
			plain = append(plain, rest...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" || isNumber(arg) {
			if c := find(commands, arg); c != nil && len(plain) == 0 {
				command = append(command, arg)
				commands, flags = c.Subcommands, c.Flags
			} else {
				plain = append(plain, arg)
			}
			continue
		}
		into := &local
		f := flagOf(flags, arg)
		if g := flagOf(app.Flags, arg); f == nil && g != nil || len(command) == 0 {
			into, f = &global, g
		}
		*into = append(*into, arg)
		if !takesValue(f) || strings.Contains(arg, "=") {
			continue
		}
		if len(rest) == 0 { // it must stay last, for the parser to miss its value
			if into == &global {
				return slices.Concat(args[:1], global)
			}
			return slices.Concat(args[:1], global, command, local)
		}
		*into = append(*into, rest[0])
		rest = rest[1:]
	}
	if slices.ContainsFunc(plain, func(a string) bool { return strings.HasPrefix(a, "-") && a != "-" }) {
		local = append(local, "--")
	}
	return slices.Concat(args[:1], global, command, local, plain)
}

// isNumber reports whether arg is a negative number rather than a flag.
func isNumber(arg string) bool {
	return len(arg) > 1 && (arg[1] == '.' || arg[1] >= '0' && arg[1] <= '9')
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// flagOf returns the flag that arg names, if it is among flags.
func flagOf(flags []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}
