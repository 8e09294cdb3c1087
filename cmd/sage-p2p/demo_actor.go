package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// actor is one platform of the demonstration: a process, and a client of it.
type actor struct {
	name   string
	home   string
	args   []string // of up, but for its home and name
	env    []string // beside that of the demonstration
	id     peer.ID
	cmd    *exec.Cmd
	gone   chan struct{} // closed when the process has ended
	reaper errgroup.Group
	node   *client.Client
}

// glance is how long to wait between two looks at something that has no event.
const glance = 25 * time.Millisecond

// start starts the process and waits until its API answers.
func (a *actor) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(a.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	a.cmd = exec.Command(self, append([]string{"--home", a.home, "--log-level", "info", "up", "--name", a.name}, a.args...)...)
	a.cmd.Env = append(os.Environ(), a.env...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal is ours, to end them in order
	if err := a.cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	cmd, gone := a.cmd, make(chan struct{})
	a.gone = gone
	a.reaper.Go(func() error { // ends with the process
		_ = cmd.Wait() // how it ended shows in its log
		close(gone)
		return log.Close()
	})
	return a.connect(ctx)
}

func (a *actor) log() string { return filepath.Join(a.home, "demo.log") }

// connect waits until the node of this process, not an earlier one, answers
// and can be reached by others.
func (a *actor) connect(ctx context.Context) error {
	return a.until(ctx, "to answer", func() (bool, error) {
		c, err := client.Open(a.home, "")
		if err != nil {
			return false, nil // half of its files are there
		}
		st, err := c.Status(ctx)
		if err != nil || st.PID != a.cmd.Process.Pid || len(st.Listen) == 0 {
			c.Close()
			return false, nil
		}
		a.node, a.id = c, st.PeerID
		return true, nil
	})
}

// until looks again and again until done says so, the process ends, or ctx does.
func (a *actor) until(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-a.gone:
			return fmt.Errorf("%s ended while the demonstration waited for it %s", a.name, what)
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s %s: %w", a.name, what, ctx.Err())
		case <-time.After(glance):
		}
	}
}

// kill is kill -9.
func (a *actor) kill() error {
	if err := a.cmd.Process.Kill(); err != nil {
		return err
	}
	<-a.gone
	a.node.Close()
	return nil
}

// stop ends the process, by force if it does not go by itself.
func (a *actor) stop() {
	if a.cmd == nil || a.cmd.Process == nil {
		return
	}
	if a.node != nil {
		a.node.Close()
	}
	_ = a.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-a.gone:
	case <-time.After(5 * time.Second):
		_ = a.cmd.Process.Kill()
		<-a.gone
	}
}

// lastWords is the end of the platform's log.
func (a *actor) lastWords() string {
	b, err := os.ReadFile(a.log())
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return clean(lines[len(lines)-1])
}

// final waits until a submission is final and has had its effect.
func (a *actor) final(ctx context.Context, sub view.Submission, err error) (view.Tx, error) {
	if err != nil {
		return view.Tx{}, err
	}
	tx, err := a.node.WaitTx(ctx, sub.TxID)
	if err == nil && !tx.OK {
		err = fmt.Errorf("transaction %s had no effect: %s %s", tx.ID, tx.State, tx.Error)
	}
	return tx, err
}

// reputation is the platform's standing as executor of vision tasks, as node
// sees it. A newcomer has 500,000.
func (a *actor) reputation(ctx context.Context, of peer.ID) (view.PPM, error) {
	p, err := a.node.Platform(ctx, of.String())
	if err != nil {
		return 0, err
	}
	for _, r := range p.Reputation {
		if r.Role == "executor" && r.Type == demoType {
			return r.ReputationPPM, nil
		}
	}
	return 500_000, nil
}
