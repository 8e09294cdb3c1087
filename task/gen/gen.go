//go:build ignore

// Gen writes the encoders of package task.
package main

import (
	"log"

	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/task"
)

func main() {
	if err := cbg.WriteTupleEncodersToFile("cbor_gen.go", "task",
		task.Horizon{}, task.Terms{}, task.Posting{},
		task.Party{}, task.Task{}, task.Acceptance{}, task.Proof{}, task.Record{},
		task.Review{}, task.Panel{}, task.Seat{}, task.Stake{}, task.Unbonding{}, task.Staking{},
		task.Hardware{}, task.Offer{}, task.Platform{},
		task.Economy{}, task.Evidence{},
		task.Locked{}, task.Moved{}, task.Engaged{}, task.Paid{}, task.ReputationChanged{},
		task.Challenged{}, task.Drawn{}, task.Revealed{}, task.Judged{}, task.SeatPaid{},
		task.StakeBonded{}, task.StakeLeaving{}, task.StakeReleased{},
	); err != nil {
		log.Fatal(err)
	}
}
