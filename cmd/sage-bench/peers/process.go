package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// processArg is the only argument of a process under load. Its orders come on
// standard input, whose end is its end.
const processArg = "__process"

// orders is what a process is told.
type orders struct {
	Comet    *cometOrders    `json:",omitempty"`
	HotStuff *hotStuffOrders `json:",omitempty"`
}

// processMain does not return in a process under load.
func processMain() {
	if len(os.Args) != 2 || os.Args[1] != processArg {
		return
	}
	if err := runProcess(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runProcess(in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(in)
	var o orders
	if err := dec.Decode(&o); err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	switch {
	case o.Comet != nil:
		return runComet(*o.Comet, dec, out)
	case o.HotStuff != nil:
		return runHotStuff(*o.HotStuff, dec, out)
	}
	return errors.New("orders: none")
}

// untilEnd returns when the bench lets go of the process.
func untilEnd(dec *json.Decoder) {
	var nothing any
	_ = dec.Decode(&nothing) // it ends with the input, whatever the reason
}

// process is one process under load.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *json.Decoder
}

// start starts a process with its orders and reads its first answer.
func start(o orders, log string, answer any) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the process has its own
	cmd := exec.Command(self, processArg)
	cmd.Stderr = f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, stdin, json.NewDecoder(stdout)}
	if err := errors.Join(p.tell(o), p.stdout.Decode(answer)); err != nil {
		said, _ := os.ReadFile(log)
		return p, fmt.Errorf("process did not start: %w: %s", err, said)
	}
	return p, nil
}

func (p *process) tell(v any) error { return json.NewEncoder(p.stdin).Encode(v) }

// stop ends the process, by force if it does not go by itself.
func (p *process) stop() error {
	_ = p.stdin.Close() // fails only if it has ended
	force := time.AfterFunc(3*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer force.Stop()
	_ = p.cmd.Wait() // how it ends shows in its log
	return nil
}

func stopAll(list []*process) {
	var g errgroup.Group
	for _, p := range list {
		g.Go(p.stop)
	}
	_ = g.Wait() // stop has no error to tell
}

// spent returns the CPU time of all processes, and their mean memory.
func spent(list []*process) (cpu time.Duration, rss uint64, err error) {
	for _, p := range list {
		dir := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
		stat, err1 := os.ReadFile(filepath.Join(dir, "stat"))
		statm, err2 := os.ReadFile(filepath.Join(dir, "statm"))
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, err
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields, pages := strings.Fields(rest), strings.Fields(string(statm))
		if len(fields) < 13 || len(pages) < 2 {
			return 0, 0, fmt.Errorf("%s: unknown form", dir)
		}
		for _, text := range fields[11:13] { // user and system time, in hundredths of a second
			ticks, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return 0, 0, err
			}
			cpu += time.Duration(ticks) * 10 * time.Millisecond
		}
		resident, err := strconv.ParseUint(pages[1], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		rss += resident * uint64(os.Getpagesize()) / uint64(len(list))
	}
	return cpu, rss, nil
}

// loadAverage is that of the last minute, 0 where it cannot be read.
func loadAverage() float64 {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	text, _, _ := strings.Cut(string(raw), " ")
	avg, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return avg
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
