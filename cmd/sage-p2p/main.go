// Command sage-p2p runs a platform of a federation and speaks to it.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

func main() {
	exec.ChildMain() // does not return in the process that runs one program of a task
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := program{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now, asks: isTerminal(os.Stdin), screen: isTerminal(os.Stdout)}
	p.tty = openTerminal(os.Stdin, os.Stdout)
	os.Exit(p.run(ctx, os.Args))
}

// program is the command line with its surroundings, which tests replace.
type program struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	asks     bool      // somebody sits at in, and can be asked
	screen   bool      // out is a terminal
	tty      *terminal // that of in and out, for the shell; nil if they are none
	inShell  bool      // commands are typed without the program's name
	args     []string  // as they were given, the program's name first
	call     string    // how this program was called, for commands that it proposes
}

// isTerminal reports whether f is a device that a person sits at.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}

// run does what args say and returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	if len(args) > 1 && args[1] == completeWord {
		p.completions(ctx, args[2:])
		return exitDone
	}
	p.call, p.args = callOf(args), args
	app := p.app()
	err := app.RunContext(ctx, arrange(app, args))
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	}
	p.explain(err, wantsJSON(args))
	return exitCode(err)
}

// app is the tree of commands, one file for each group.
func (p program) app() *cli.App {
	groups := [][]*cli.Command{ // the help keeps them apart
		{p.up(), p.demo(), p.shell()},
		{p.status(), p.peers(), p.doctor(), p.logs(), p.stop(), p.config()},
		{p.balance(), p.history(), p.transfer(), p.lock()},
		{p.ask(), p.models(), p.task(), p.whyIdle()},
		{p.platforms(), p.platform(), p.rep(), p.validators(), p.validator(), p.stake(), p.federation(), p.key()},
		{p.block(), p.tx(), p.events(), p.chain()},
		{p.receipt(), p.verify(), p.account()},
		{p.sim(), p.completion(), p.version()},
	}
	app := &cli.App{
		Name:           "sage-p2p",
		Usage:          "machines running AI, as one federation",
		Version:        versionText(),
		HideVersion:    true, // there is a command for it
		Writer:         p.out,
		ErrWriter:      p.err,
		Reader:         p.in,
		ExitErrHandler: func(*cli.Context, error) {}, // run explains errors, once
		OnUsageError:   usageFromFlags,
		Action:         noCommand,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "home", Usage: "`DIR` with a node's key, chain and settings", EnvVars: []string{"SAGE_HOME"}, Value: defaultHome()},
			&cli.StringFlag{Name: "api", Usage: "`URL` of a node's API", DefaultText: "of the node in --home", EnvVars: []string{"SAGE_API"}},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
	}
	app.Flags = append(app.Flags, logFlags()...)
	for i, group := range groups {
		for _, c := range group {
			c.Category = strconv.Itoa(i)
		}
		app.Commands = append(app.Commands, group...)
	}
	p.prepare(app.Commands)
	app.CustomAppHelpTemplate = appHelp(app)
	return app
}

// prepare gives every command of the tree what all have in common.
func (p program) prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageFromFlags
		c.HideHelpCommand = true
		if len(c.Subcommands) > 0 {
			c.Action = noCommand
		} else if c.Name != "shell" && !p.inShell { // a shell ends its commands itself
			c.Action = untilInterrupt(c.Action)
		}
		c.CustomHelpTemplate = commandHelp(c)
		p.prepare(c.Subcommands)
	}
}

// noCommand answers a name that is no command, and the absence of one.
func noCommand(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		return usagef("there is no command %q%s", name, meant(name, commandNames(c.Command.Subcommands))).hint("see what there is with: %s --help", c.Command.HelpName)
	}
	return cli.ShowSubcommandHelp(c)
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	return names
}
