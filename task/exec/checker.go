package exec

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// CheckTime is how long a checker may run.
const CheckTime = 60 * time.Second

// CheckMemory is the memory of a checker, in pages of [PageSize]: 256 MiB.
const CheckMemory = 4096

// wholeScore is the best that a checker can say, in ppm.
const wholeScore = 1_000_000

// CheckInput is what a checker reads from standard input: the length of the
// task's input in eight bytes, the highest first, then the input; and the same of
// the output.
func CheckInput(input, output []byte) []byte {
	framed := make([]byte, 0, 16+len(input)+len(output))
	framed = append(binary.BigEndian.AppendUint64(framed, uint64(len(input))), input...)
	return append(binary.BigEndian.AppendUint64(framed, uint64(len(output))), output...)
}

// ParseScore reads what a checker has written to standard output: the quality in
// ppm, 0 to 1000000, in decimal digits, with or without an end of line.
func ParseScore(output []byte) (ppm uint64, err error) {
	text := string(bytes.TrimSuffix(output, []byte("\n")))
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > wholeScore || strconv.FormatUint(n, 10) != text {
		return 0, fmt.Errorf("exec: checker: have %.40q, want a number from 0 to %d", output, wholeScore)
	}
	return n, nil
}

// A Score is what a checker says of an output.
type Score struct {
	PPM        uint64
	Why        string // for people, if the score is 0 because there was none
	MemoryHash MemoryHash
	Logs       []byte
}

// Check runs a checker, a program of the runtime, on the input of a task and an
// output. It depends on these three alone, so that anyone can run it beforehand. A
// checker that fails, or says anything but a number, says 0. Errors are those of
// [Runtime.Run].
func Check(ctx context.Context, rt Runtime, checker, input, output []byte, limit time.Duration) (Score, error) {
	seed, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum(checker)
	if err != nil {
		return Score{}, fmt.Errorf("%w: checker: %w", ErrInvalid, err)
	}
	got, err := rt.Run(ctx, Job{
		Task: seed, Program: checker, Input: CheckInput(input, output), MemoryPages: CheckMemory,
		OutputLimit: MaxLogs, TimeLimit: min(limit, CheckTime),
	})
	if err != nil {
		return Score{}, err
	}
	score := Score{MemoryHash: got.MemoryHash, Logs: got.Logs}
	if got.Failed {
		score.Why = "the checker failed"
		return score, nil
	}
	if score.PPM, err = ParseScore(got.Output); err != nil {
		score.Why = err.Error()
	}
	return score, nil
}
