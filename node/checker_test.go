package node_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// A picky runtime says that no machine runs what is named broken.
type picky struct{ *scripted }

func (p picky) Check(program []byte) error {
	if bytes.Contains(program, []byte("broken")) {
		return exec.ErrProgram
	}
	return p.scripted.Check(program)
}

func TestATaskWhoseCheckerNoMachineRunsIsNotAccepted(t *testing.T) {
	t.Parallel()
	runtimes := honest(5)
	runtimes[1] = picky{echoing()}
	c := newCourt(t, unchanged, runtimes...)
	sub, err := c.requester().PostTask(t.Context(), view.NewTask{
		Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: 50 * atp, To: c.executor().cfg.Name, OfferWindowMS: 5_000, ExecutionWindowMS: 5_000,
		Program: c.requester().holds(t, []byte("module")), Input: c.requester().holds(t, []byte("input")),
		Checker: c.requester().holds(t, []byte("\x00asm broken")),
	}, c.executor().id(t))
	if err != nil {
		t.Fatal(err)
	}
	if v := c.settled(t, sub.TaskID); v.Cause != "not accepted" {
		t.Errorf("settled by %s (%s), want an offer that nobody took", v.Settlement, v.Cause)
	}
}

// TestAnExecutorLeavesWitnessesMoreTimeToCheck than it takes itself: a result of
// which they do not see the end counts as a bad one.
func TestAnExecutorLeavesWitnessesMoreTimeToCheck(t *testing.T) {
	t.Parallel()
	var runtimes []exec.Runtime
	limits := make([]chan time.Duration, 5)
	for i := range limits {
		limits[i] = make(chan time.Duration, 8)
		runtimes = append(runtimes, &scripted{run: func(ctx context.Context, j exec.Job) (exec.Result, error) {
			if string(j.Program) == "\x00asm checker" {
				limits[i] <- j.TimeLimit
			}
			return checking(echoing()).run(ctx, j)
		}})
	}
	c := newCourt(t, unchanged, runtimes...)
	sub, err := c.requester().PostTask(t.Context(), view.NewTask{
		Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: 50 * atp, To: c.executor().cfg.Name,
		Program: c.requester().holds(t, []byte("module")), Input: c.requester().holds(t, []byte("input")),
		Checker: c.requester().holds(t, []byte("\x00asm checker")),
	}, c.executor().id(t))
	if err != nil {
		t.Fatal(err)
	}
	c.settled(t, sub.TaskID)
	if mine := <-limits[1]; mine > exec.CheckTime/2 {
		t.Errorf("the executor gave its check %s, want at most half of what a witness has", mine)
	}
	for i := range 3 {
		if theirs := <-limits[2+i]; theirs != exec.CheckTime {
			t.Errorf("a witness gave its check %s, want %s", theirs, exec.CheckTime)
		}
	}
}
