package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

func (p program) taskSubmit() *cli.Command {
	return &cli.Command{
		Name:  "submit",
		Usage: "delegate a task; its price is locked until it is settled",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "type", Usage: "`TYPE` of the work, such as vision (required)"},
			&cli.StringFlag{Name: "program", Usage: "`FILE`, or an example (required): " + strings.Join(programs.Names(), ", ")},
			&cli.StringFlag{Name: "input", Usage: "`FILE`, or - for standard input (required)"},
			&cli.StringFlag{Name: "runtime", Usage: "what runs the program", Value: "wasm"},
			&cli.StringFlag{Name: "to", Usage: "`P`: a platform, auto (routed), or open (first come)", Value: view.ToAuto},
			&cli.StringFlag{Name: "complexity", Usage: "low, medium, high or critical"},
			&cli.StringFlag{Name: "horizon", Usage: "`REACH` of the work, such as regional/day/agent: who takes no wider tasks is left out", DefaultText: "local/session/simple"},
			&cli.StringFlag{Name: "price", Usage: "`ATP` to pay", DefaultText: "the list price"},
			&cli.StringFlag{Name: "min-quality", Usage: "least quality, `0..1`", DefaultText: "0.7"},
			&cli.StringFlag{Name: "verify", Usage: "how quality is found: mutual, recompute, checker or judge", DefaultText: "recompute where there are witnesses, else mutual"},
			&cli.StringFlag{Name: "checker", Usage: "`FILE` of a program that judges the result, with class checker; try it with: task check"},
			&cli.DurationFlag{Name: "deadline", Usage: "time for the work", DefaultText: "5m"},
			&cli.DurationFlag{Name: "offer", Usage: "time to accept it", DefaultText: "1m"},
			&cli.BoolFlag{Name: "private", Usage: "only the two parties ever see input and result"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until the task is settled; at a terminal, ask what to answer"},
			&cli.BoolFlag{Name: "accept", Usage: "accept the result, whatever it is, as soon as it is here (waits)"},
			&cli.StringFlag{Name: "out", Usage: "`FILE` for the result (waits)"},
			waitFlag(taskPatience),
		},
		Action: p.speaks(0, 0, func(s *session) error { return s.meantType(s.submitTask()) }),
	}
}

func (s *session) submitTask() error {
	if err := needs(s.Context, "type", "program", "input"); err != nil {
		return err
	}
	t, err := s.newTask()
	if err != nil {
		return err
	}
	program, err := s.openProgram(t.Runtime)
	if err != nil {
		return err
	}
	defer func() { _ = program.Close() }() // it was only read
	input, err := s.openInput()
	if err != nil {
		return err
	}
	defer func() { _ = input.Close() }() // it was only read
	checker, err := s.openChecker(t.Verify)
	if err != nil {
		return err
	}
	if checker != nil {
		defer func() { _ = checker.Close() }() // it was only read
	}
	sub, err := s.node.PostChecked(s.Context.Context, t, program, input, reader(checker))
	if err != nil {
		return inFlags(err)
	}
	if sub.Note != "" {
		fmt.Fprintf(s.err, "note: %s\n  see what keeps it with: %s\n", clean(sub.Note), s.command("task why-not "+short(sub.TaskID.String())))
	}
	if !s.Bool("json") {
		printPosted(s.out, sub)
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	if !s.Bool("wait") && !s.Bool("accept") && s.String("out") == "" {
		return s.show(sub, func(w io.Writer) {
			outcome(w, sub.Tx)
			fmt.Fprintf(w, "follow it with: %s\n", s.command("task wait "+short(sub.TaskID.String())))
		})
	}
	done, err := s.followTask(sub.TaskID.String())
	if err != nil {
		return err
	}
	sub.Task = &done
	if err := s.show(sub, func(io.Writer) {}); err != nil {
		return err
	}
	if done.State == view.TaskSettled && done.Settlement != view.SettledCommit {
		return failedf("the task ended in %s", stateOf(done)).hint("see why with: sage-p2p task show %s", sub.TaskID)
	}
	return nil
}

// inFlags is a refusal of a window of a task, in the words of the command line.
func inFlags(err error) error {
	var no *view.Error
	if !errors.As(err, &no) || no.Code != view.CodeInvalid {
		return err
	}
	told := *no
	for window, flag := range map[string]string{"execution window ": "--deadline ", "offer window ": "--offer "} {
		if rest, of := strings.CutPrefix(told.Message, window); of {
			told.Message = flag + rest
		}
	}
	return &told
}

// meantType adds to the refusal of a task of a type that nobody offers, which type
// may have been meant.
func (s *session) meantType(err error) error {
	var no *view.Error
	if !errors.As(err, &no) || no.Code != view.CodeRefused {
		return err
	}
	platforms, listErr := s.node.Platforms(s.Context.Context)
	if listErr != nil {
		return err // which matters more
	}
	told := *no
	told.Message += offeredAs(s.String("type"), platforms)
	return &told
}

// offeredAs asks whether by a type that nobody offers one was meant that somebody does.
func offeredAs(typ string, platforms []view.Platform) string {
	var offered []string
	for _, p := range platforms {
		for _, o := range p.Offers {
			offered = append(offered, o.Type)
		}
	}
	if slices.Contains(offered, typ) {
		return ""
	}
	return meant(typ, offered)
}

func printPosted(w io.Writer, sub view.Submission) {
	fmt.Fprintf(w, "task %s\n", sub.TaskID)
	if sub.Routing != "" {
		fmt.Fprintf(w, "routed to %s\n", clean(sub.Routing))
	}
	if sub.Because != "" {
		for _, line := range wrap(fmt.Sprintf("class %s, since %s", sub.Verify, clean(sub.Because)), helpWidth) {
			fmt.Fprintln(w, line)
		}
	}
}

// newTask reads the flags.
func (s *session) newTask() (view.NewTask, error) {
	t := view.NewTask{
		Type: s.String("type"), Complexity: s.String("complexity"), Runtime: s.String("runtime"), To: s.String("to"),
		Verify: s.String("verify"), Private: s.Bool("private"),
	}
	if text := s.String("price"); text != "" {
		price, err := amount(text)
		if err != nil {
			return t, err
		}
		t.PriceUATP = price
	}
	if text := s.String("horizon"); text != "" {
		h, err := parseHorizon(text)
		if err != nil {
			return t, err
		}
		t.Horizon = h
	}
	if text := s.String("min-quality"); text != "" {
		q, err := parseShare("--min-quality", text)
		if err != nil {
			return t, err
		}
		t.MinQualityPPM = q
	}
	for name, into := range map[string]*view.Span{"deadline": &t.ExecutionWindowMS, "offer": &t.OfferWindowMS} {
		d := s.Duration(name)
		if d < 0 || d != 0 && d < time.Millisecond {
			return t, usagef("--%s %s: want a length of time such as 90s", name, d)
		}
		*into = view.Span(d.Milliseconds())
	}
	return t, nil
}

// openProgram opens the program: a file, or else an example of that name.
func (s *session) openProgram(runtime string) (io.ReadCloser, error) {
	name := s.String("program")
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && slices.Contains(programs.Names(), name) {
		b, err := s.loadExample(name)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(strings.NewReader(string(b))), nil
	}
	if err != nil {
		no := noFile("program", name, err)
		no.message += meant(name, programs.Names())
		return nil, no.hint("give a file, or the name of an example: %s", strings.Join(programs.Names(), ", "))
	}
	if err := checkProgram(f, runtime); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openChecker opens the checker, if one is named.
func (s *session) openChecker(verify string) (*os.File, error) {
	name := s.String("checker")
	switch {
	case name == "" && verify != "checker":
		return nil, nil
	case name == "":
		return nil, usagef("--verify checker: want the program that judges, with --checker FILE")
	case verify != "" && verify != "checker":
		return nil, usagef("--checker: a checker judges in class checker alone, and --verify says %s", verify)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, noFile("checker", name, err)
	}
	if err := checkProgram(f, "wasm"); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reader is f, or nil where there is none.
func reader(f *os.File) io.Reader {
	if f == nil {
		return nil
	}
	return f
}

// loadExample loads an example, which may have to be compiled first.
func (s *session) loadExample(name string) (b []byte, err error) {
	err = s.patiently("for the example "+name+" to be compiled", func(ctx context.Context) error {
		b, err = programs.Load(ctx, name)
		return err
	})
	return b, err
}

// checkProgram refuses a program that no node would take, before it is sent.
func checkProgram(f *os.File, runtime string) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return failedf("the program %s is not a file", f.Name())
	case info.Size() > exec.MaxProgram:
		return failedf("the program %s has %d bytes, more than the %d that a program may have", f.Name(), info.Size(), exec.MaxProgram).
			hint("make it smaller, with -ldflags=-s for a Go program; what it works on belongs into --input")
	case runtime != "wasm":
		return nil
	}
	program := make([]byte, info.Size())
	if _, err := f.ReadAt(program, 0); err != nil {
		return noFile("program", f.Name(), err)
	}
	const remedy = "compile it with: GOOS=wasip1 GOARCH=wasm go build -o prog.wasm ."
	if err := (*exec.WASM)(nil).Check(program); errors.Is(err, exec.ErrNotWASM) {
		return failedf("the program %s is not a WASM module", f.Name()).hint(remedy)
	} else if err != nil {
		return failedf("the program %s would run nowhere: %v", f.Name(), strings.TrimPrefix(err.Error(), "exec: ")).hint(remedy)
	}
	return nil
}

// openInput opens the input: a file, or standard input.
func (s *session) openInput() (io.ReadCloser, error) {
	name := s.String("input")
	if name == "-" {
		return io.NopCloser(s.in), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, noFile("input", name, err).hint("give a file, or - for standard input")
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = failedf("the input %s is a folder", name).hint("pack it into one file, such as a tar archive that the program reads")
	case info.Size() > exec.MaxInput:
		err = failedf("the input %s has %d bytes, more than the %d that an input may have", name, info.Size(), exec.MaxInput).
			hint("split it over several tasks")
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// noFile says that a file cannot be opened.
func noFile(what, name string, err error) *refusal {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return failedf("the %s %q cannot be opened: %v", what, name, err)
}

// parseShare reads a number from 0 to 1 with at most six decimals.
func parseShare(flag, text string) (view.PPM, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	digits := whole + decimals + strings.Repeat("0", max(0, 6-len(decimals)))
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(decimals) > 6 || whole == "" || n > 1_000_000 {
		return 0, usagef("%s %q: want a number from 0 to 1 with at most six decimals, such as 0.85", flag, text)
	}
	return view.PPM(n), nil
}
