package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpWidth is how wide the help is at most.
const helpWidth = 80

// appHelp is what --help without a command prints.
func appHelp(app *cli.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nusage: %s [flags] COMMAND …\n\ncommands:\n", app.Name, app.Usage, app.Name)
	commandLines(&b, app.Commands)
	b.WriteString("\nflags of every command:\n")
	flagLines(&b, app.Flags)
	fmt.Fprintf(&b, "\nBegin with: %s demo; all about a command: %s COMMAND --help\n", app.Name, app.Name)
	return b.String()
}

// commandHelp is what a command's --help prints. The name is filled in when it
// is printed, as only then it is known how the command was reached.
func commandHelp(c *cli.Command) string {
	var b strings.Builder
	b.WriteString("usage: {{.HelpName}}")
	if len(c.Flags) > 0 {
		b.WriteString(" [flags]")
	}
	if len(c.Subcommands) > 0 {
		b.WriteString(" COMMAND …")
	}
	if c.ArgsUsage != "" {
		b.WriteString(" " + c.ArgsUsage)
	}
	b.WriteString("\n\n" + strings.Join(wrap(c.Usage, helpWidth), "\n") + "\n")
	if c.Description != "" {
		b.WriteString("\n" + c.Description + "\n")
	}
	if len(c.Subcommands) > 0 {
		b.WriteString("\ncommands:\n")
		commandLines(&b, c.Subcommands)
	}
	if len(c.Flags) > 0 {
		b.WriteString("\nflags:\n")
		flagLines(&b, c.Flags)
	}
	b.WriteString("\n--home DIR, --api URL and --json may be given to every command.\n")
	return b.String()
}

// commandLines writes commands with what they do, groups apart.
func commandLines(b *strings.Builder, commands []*cli.Command) {
	lines := make([][2]string, 0, len(commands))
	group := ""
	for i, c := range commands {
		if i > 0 && c.Category != group {
			lines = append(lines, [2]string{})
		}
		group = c.Category
		lines = append(lines, [2]string{c.Name, c.Usage})
	}
	explainLines(b, lines)
}

func flagLines(b *strings.Builder, flags []cli.Flag) {
	lines := make([][2]string, 0, len(flags))
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		name := "--" + f.Names()[0]
		usage := d.GetUsage()
		if parts := strings.SplitN(usage, "`", 3); len(parts) == 3 { // the second stands for the value
			name += " " + parts[1]
			usage = strings.Join(parts, "")
		} else if d.TakesValue() {
			name += " " + valueName(f)
		}
		if text := strings.ReplaceAll(d.GetDefaultText(), `"`, ""); d.TakesValue() && text != "" && text != "0" {
			usage += " (" + text + ")"
		}
		if env := d.GetEnvVars(); len(env) > 0 {
			usage += " [$" + env[0] + "]"
		}
		lines = append(lines, [2]string{name, usage})
	}
	explainLines(b, lines)
}

// valueName says what kind of value a flag takes.
func valueName(f cli.Flag) string {
	switch f.(type) {
	case *cli.DurationFlag:
		return "TIME"
	case *cli.IntFlag:
		return "N"
	default:
		return "TEXT"
	}
}

// explainLines writes names with what they mean beside or, where a name is too
// long for that, below them.
func explainLines(b *strings.Builder, lines [][2]string) {
	const most = 22
	width := 0
	for _, l := range lines {
		if n := len(l[0]); n <= most {
			width = max(width, n)
		}
	}
	margin := strings.Repeat(" ", width+4)
	for _, l := range lines {
		if l[0] == "" {
			b.WriteString("\n")
			continue
		}
		text := wrap(l[1], helpWidth-len(margin))
		if len(l[0]) > width {
			fmt.Fprintf(b, "  %s\n%s%s\n", l[0], margin, text[0])
		} else {
			fmt.Fprintf(b, "  %-*s  %s\n", width, l[0], text[0])
		}
		for _, line := range text[1:] {
			b.WriteString(margin + line + "\n")
		}
	}
}

// callOf is how to call this program again for the same node: a command that
// is proposed is there to be copied.
func callOf(args []string) string {
	if len(args) == 0 {
		return "sage-p2p"
	}
	call := []string{quote(args[0])}
	if strings.Contains(args[0], string(filepath.Separator)+"go-build") {
		call = []string{"go run ./cmd/sage-p2p"}
	}
	for i, arg := range args[1:] {
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || name != "home" && name != "api" {
			continue
		}
		if !joined && i+2 < len(args) {
			value = args[i+2]
		}
		call = append(call, "--"+name, quote(value))
	}
	return strings.Join(call, " ")
}

// quote makes one word of s for a shell.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n'\"\\$`*?[]{}()<>|&;!#~", r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// command is a command as it has to be typed here.
func (p program) command(rest string) string {
	if p.inShell {
		return rest
	}
	return p.call + " " + rest
}

// typed replaces the commands in a text by how they have to be typed here.
func (p program) typed(text string) string {
	if p.inShell {
		text = strings.ReplaceAll(text, programName+" --help", "help")
		return strings.ReplaceAll(text, programName+" ", "")
	}
	if p.call == "" {
		return text
	}
	return strings.ReplaceAll(text, programName+" ", p.call+" ")
}
