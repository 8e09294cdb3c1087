package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	taskexec "github.com/sage-p2p/sage-p2p/task/exec"
)

// validatorArg is the only argument of a validator's process. Its orders come
// on standard input, which the bench keeps open: whatever ends the bench, even
// SIGKILL, ends its validators.
const validatorArg = "__validator"

// orders is what a validator's process is told first. Each value that follows asks
// for its counters.
type orders struct {
	Node       node.Config
	CPUProfile string // file; empty for none
}

// runValidator is the process of one validator. It says where it listens on
// out, and ends when in does.
func runValidator(in io.Reader, out, log io.Writer) (err error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var o orders
	told := json.NewDecoder(in)
	if err := told.Decode(&o); err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	if o.CPUProfile != "" {
		end, err := profile(o.CPUProfile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	options := []node.Option{
		node.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))),
		node.WithPresence(func(p node.Presence) {
			if json.NewEncoder(out).Encode(p) != nil {
				stop() // nobody listens
			}
		}),
	}
	if !o.Node.NoWork {
		wasm, err := taskexec.NewWASM(filepath.Join(o.Node.Home, "wasm"))
		if err != nil {
			return err
		}
		runtimes, err := taskexec.NewRegistry(wasm)
		if err != nil {
			return err
		}
		options = append(options, node.WithRuntimes(runtimes))
	}
	n, err := node.New(o.Node, options...)
	if err != nil {
		return err
	}
	var orderer errgroup.Group
	orderer.Go(func() error { // ends with the process
		defer stop()
		for said := json.NewEncoder(out); ; {
			var ask struct{}
			if err := told.Decode(&ask); err != nil {
				return err
			}
			if err := said.Encode(n.Counters()); err != nil {
				return err
			}
		}
	})
	return n.Run(ctx)
}

// profile begins a CPU profile.
func profile(path string) (end func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// validator is one process, seen from the bench.
type validator struct {
	name string
	home string

	cmd      *exec.Cmd
	stdin    io.WriteCloser
	says     *json.Decoder // its standard output
	lost     atomic.Bool   // by us: killed, or cut off
	gone     chan struct{} // closed when the process has ended
	reaper   errgroup.Group
	presence node.Presence
	token    string
	api      *client.Client
}

// start starts the process with its orders and waits until it listens.
func (v *validator) start(ctx context.Context, o orders, logDir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(logDir, v.name+".log"))
	if err != nil {
		return err
	}
	v.cmd = exec.Command(self, validatorArg)
	v.cmd.Stderr = log
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is the bench's, to end them in order
	stdin, err1 := v.cmd.StdinPipe()
	stdout, err2 := v.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return errors.Join(err, log.Close())
	}
	if err := v.cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	v.stdin, v.says, v.gone = stdin, json.NewDecoder(stdout), make(chan struct{})
	unkill := context.AfterFunc(ctx, func() { _ = v.cmd.Process.Kill() }) // it may have ended
	err = json.NewEncoder(stdin).Encode(o)
	if err == nil {
		err = v.says.Decode(&v.presence) // or until the process ends
	}
	unkill()
	v.reaper.Go(func() error { // ends with the process
		_ = v.cmd.Wait() // how it ended shows in its log
		close(v.gone)
		return log.Close()
	})
	if err != nil {
		return fmt.Errorf("%s did not start: %w: %s", v.name, errors.Join(err, ctx.Err()), log.Name())
	}
	if v.token, err = view.ReadToken(v.home); err != nil {
		return err
	}
	v.api, err = client.New(v.presence.API, v.token)
	return err
}

// counters asks the process what it has counted.
func (v *validator) counters() (c node.Counters, err error) {
	if _, err = io.WriteString(v.stdin, "{}\n"); err == nil {
		err = v.says.Decode(&c)
	}
	return c, err
}

// pid is the process.
func (v *validator) pid() int { return v.cmd.Process.Pid }

// kill is kill -9: its connections end at once.
func (v *validator) kill() {
	v.lost.Store(true)
	_ = v.cmd.Process.Kill() // fails only if it has ended
	<-v.gone
}

// cutOff stops the process where it stands: its connections stay open, and
// nothing comes from it any more, neither an answer nor a FIN.
func (v *validator) cutOff() {
	v.lost.Store(true)
	_ = v.cmd.Process.Signal(syscall.SIGSTOP) // fails only if it has ended
}

// stop ends the process, by force if it does not go by itself.
func (v *validator) stop() error {
	if v.gone == nil {
		return nil // it never ran
	}
	if v.api != nil {
		v.api.Close()
	}
	_ = v.stdin.Close() // its order to end; fails only if it has ended
	if v.lost.Load() {
		v.kill() // one that is cut off takes no orders
	}
	select {
	case <-v.gone:
	case <-time.After(5 * time.Second):
		v.kill()
	}
	return v.reaper.Wait()
}
