package main

import (
	"context"
	"os"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

// liarVariable makes a node lie. `demo --witnesses` sets it for one of its own
// processes, and nothing else does.
const liarVariable = "SAGE_DEMO_LIAR"

// honestly is the runtime, unless this process plays the liar of a demonstration.
func honestly(rt exec.Runtime) exec.Runtime {
	if os.Getenv(liarVariable) == "" {
		return rt
	}
	return liar{rt}
}

// liar is a runtime whose results are wrong, always in the same way: as executor
// its platform proves them, and as witness it swears by them.
type liar struct{ exec.Runtime }

// Run implements exec.Runtime.
func (l liar) Run(ctx context.Context, job exec.Job) (exec.Result, error) {
	got, err := l.Runtime.Run(ctx, job)
	if err == nil && !got.Failed {
		got.Output = append(got.Output, "a lie"...)
		got.MemoryHash[0] ^= 1
	}
	return got, err
}
