package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// wholeTask is the length of the task that the overhead of consensus is
// related to.
const wholeTask = 15 * time.Second

// Task is what agreement cost one task: post, accept, prove and acknowledge,
// from the making of each to its being final, as their makers measured it.
type Task struct {
	Operations int     `json:"operations"`
	Consensus  span    `json:"consensus_ns"`
	Share      float64 `json:"share_of_15_s"`
}

// task has the first validator delegate a task, and pay for it.
func (b *bench) task(ctx context.Context) (*Task, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	const kind = "vision"
	program, err := programs.Load(ctx, programs.Edges)
	if err != nil {
		return nil, err
	}
	picture, err := programs.Sample(programs.Edges)
	if err != nil {
		return nil, err
	}
	requester := b.all[0].api
	if err := b.registered(ctx); err != nil {
		return nil, err
	}
	sub, err := requester.PostTask(ctx, view.NewTask{
		Type: kind, Runtime: "wasm", To: view.ToAuto, PriceUATP: 50 * atp.ATP, Verify: "mutual",
	}, bytes.NewReader(program), bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	t, err := requester.WaitSettled(ctx, sub.TaskID.String(), func(t view.Task) {
		if t.State == view.TaskProven {
			_, _ = requester.Acknowledge(ctx, t.ID.String(), view.Mark{}) // its end shows in the settlement
		}
	})
	if err != nil {
		return nil, err
	}
	if t.Settlement != view.SettledCommit {
		return nil, fmt.Errorf("the task ended in %s: %s", t.Settlement, t.Cause)
	}
	for _, v := range b.all {
		if v.presence.Self != sub.Executor {
			continue
		}
		done, err := v.api.WaitSettled(ctx, sub.TaskID.String(), nil)
		if err != nil {
			return nil, err
		}
		spent := time.Duration(t.ConsensusMS+done.ConsensusMS) * time.Millisecond
		return &Task{Operations: 4, Consensus: spent, Share: spent.Seconds() / wholeTask.Seconds()}, nil
	}
	return nil, fmt.Errorf("the executor %s is none of the validators", sub.Executor)
}

// registered waits until another platform offers its work.
func (b *bench) registered(ctx context.Context) error {
	for {
		list, err := b.all[0].api.Platforms(ctx)
		if err != nil {
			return err
		}
		if len(list) == len(b.all) {
			return nil
		}
		if err := pause(ctx, glance); err != nil {
			return fmt.Errorf("%d of %d platforms have registered: %w", len(list), len(b.all), err)
		}
	}
}
