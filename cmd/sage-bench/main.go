// Command sage-bench measures a federation on this machine: n validators as
// processes of their own, over loopback, under a load of transfers that were
// signed beforehand. README.md says what each number means.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

func main() {
	exec.ChildMain() // does not return in the process that runs one program of a task
	if len(os.Args) == 2 && os.Args[1] == validatorArg {
		os.Exit(exitCode(runValidator(os.Stdin, os.Stdout, os.Stderr), os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

// exitCode explains an error and returns what the process ends with.
func exitCode(err error, to io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(to, err)
		return 2
	}
	fmt.Fprintln(to, "sage-bench:", err)
	return 1
}

// run measures each size that the arguments ask for, and prints.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parseOptions(args, progress)
	if err != nil {
		return err
	}
	report := Report{Machine: describeMachine(), Options: o}
	for _, n := range o.Validators {
		r, err := measure(ctx, o, n, progress)
		if err != nil {
			return fmt.Errorf("%d validators: %w", n, err)
		}
		report.Results = append(report.Results, r)
	}
	report.Machine.LoadAfter = loadAverage()
	if o.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	return report.print(out)
}
