package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// Names of content are on the chain for everyone to read. Whoever knows one
// must not get at the content by a task of their own that names it.
func TestATaskThatNamesTheContentOfOthersGivesNoRightToIt(t *testing.T) {
	rt := echoing()
	all := federation(t, 4, offering(t, rt))
	registered(t, 4, all...)
	victim, executor, thief, accomplice := all[0], all[1], all[2], all[3]
	own := victim.posts(t, executor, []byte("module"), []byte("a private input"))
	v := victim.waitTask(t, own, "proven", hasResult)

	t.Run("served by a party of another task", func(t *testing.T) {
		of := thief.rogue(t, accomplice, v.Spec.Program.Cid, v.Spec.Input.Cid, len("a private input"))
		accomplice.waitTask(t, of, "known", func(view.Task) bool { return true })
		for _, from := range []*platform{victim, executor} {
			from.waitTask(t, of, "known", func(view.Task) bool { return true })
			err := accomplice.Fetch(t.Context(), from.id(t), of.Cid, v.Spec.Input.Cid)
			if err == nil || !strings.Contains(err.Error(), "gives no right") {
				t.Errorf("%s gave the input: %v", from.cfg.Name, err)
			}
		}
	})
	t.Run("executed by one who has it from another requester", func(t *testing.T) {
		before := rt.runs.Load()
		of := thief.rogue(t, executor, v.Spec.Program.Cid, v.Spec.Input.Cid, len("a private input"))
		good := thief.posts(t, executor, []byte("module"), []byte("an honest one")) // comes after it
		thief.waitTask(t, good, "proven", hasResult)
		if got := rt.runs.Load() - before; got != 1 {
			t.Errorf("%d executions, want that of the honest task alone", got)
		}
		if v := thief.waitTask(t, of, "known", func(view.Task) bool { return true }); v.State != view.TaskPosted {
			t.Errorf("the task is %s, want it left alone", v.State)
		}
	})
}

// A program that never ends is its requester's: it costs the executor neither
// bond nor name, and the requester is not paid for with silence.
func TestAProgramThatNeverEndsCostsItsExecutorNothing(t *testing.T) {
	endless := &scripted{run: func(context.Context, exec.Job) (exec.Result, error) {
		return exec.Result{}, errors.Join(exec.ErrResourceLimit, errors.New("the program did not end"))
	}}
	all := federation(t, 4, offering(t, endless))
	registered(t, 4, all...)
	requester, executor := all[1], all[2]
	id := requester.posts(t, executor, []byte("module"), []byte("input"))
	v := requester.waitTask(t, id, "settled", in(view.TaskSettled))
	if v.Settlement != view.SettledRollback || v.Cause != "refused" {
		t.Errorf("settled by %s, %s; want it refused by the requester's node, of itself", v.Settlement, v.Cause)
	}
	if got := requester.has(t, executor.id(t)); got != 900*atp {
		t.Errorf("the executor has %d µATP, want its 900 ATP: the bond is back", got)
	}
	if got := requester.has(t, requester.id(t)); got != 900*atp-1_500_000 {
		t.Errorf("the requester has %d µATP, want the price back and the fee of 1.5 ATP gone", got)
	}
	if got := requester.reputationOf(t, executor); got != 0 && got != 500_000 {
		t.Errorf("the executor's reputation is %d ppm, want it unmoved", got)
	}
}
