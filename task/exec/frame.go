package exec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Parent and child talk in frames: kind u8, length u32be, payload. The parent
// sends job, program and input; the child answers with logs as they come, and
// at the end one result or one refusal. The child runs hostile code, so the
// parent believes no length and no order.
const (
	frameJob     = 'j' // childJob as JSON
	frameProgram = 'p'
	frameInput   = 'i'
	frameLogs    = 'l' // a piece of standard error
	frameResult  = 'r' // failed u8, memory hash 32, output
	frameRefusal = 'e' // index into refusals u8, reason
)

const (
	maxJobFrame = 64 << 10
	maxReason   = 4 << 10
	resultHead  = 1 + len(MemoryHash{})
	maxFailed   = len(failedPrefix) + 5 // the longest that EncodeFailed returns
)

// refusals are the classes that a child may answer with, in the order of
// their wire numbers; what is of no class is 0.
var refusals = []error{ErrHost, ErrNotWASM, ErrTooLarge, ErrProgram, ErrInvalid, ErrResourceLimit}

// childJob is the part of a Job that is neither program nor input.
type childJob struct {
	Task        []byte
	AcceptTime  atp.Millis
	MemoryPages uint32
	OutputLimit uint32
	Cache       string // directory of the program's compiled code
}

func writeFrame(w io.Writer, kind byte, parts ...[]byte) error {
	head := make([]byte, 5, 5+resultHead)
	head[0] = kind
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	binary.BigEndian.PutUint32(head[1:], uint32(n))
	for _, p := range append([][]byte{head}, parts...) {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads one frame. limit gives the most bytes that a kind may have,
// less than 0 for a kind that must not come. Memory grows with what arrives,
// not with what the length promises.
func readFrame(r io.Reader, limit func(kind byte) int) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	kind = head[0]
	n := int64(binary.BigEndian.Uint32(head[1:]))
	if most := limit(kind); n > int64(most) {
		return 0, nil, fmt.Errorf("%w: frame %q: have %d bytes, want at most %d", ErrHost, kind, n, most)
	}
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, n); err != nil {
		return 0, nil, fmt.Errorf("%w: frame %q: %w", ErrHost, kind, err)
	}
	return kind, buf.Bytes(), nil
}

// expectFrame reads a frame of one kind.
func expectFrame(r io.Reader, want byte, most int) ([]byte, error) {
	_, payload, err := readFrame(r, func(kind byte) int {
		if kind == want {
			return most
		}
		return -1
	})
	return payload, err
}

// writeJob sends a job to a child.
func writeJob(w io.Writer, job Job, cache string) error {
	head, err := json.Marshal(childJob{job.Task.Bytes(), job.AcceptTime, job.MemoryPages, job.OutputLimit, cache})
	if err != nil {
		return err
	}
	return errors.Join(
		writeFrame(w, frameJob, head),
		writeFrame(w, frameProgram, job.Program),
		writeFrame(w, frameInput, job.Input),
	)
}

// readJob is the other end of writeJob.
func readJob(r io.Reader) (head childJob, program, input []byte, err error) {
	raw, err := expectFrame(r, frameJob, maxJobFrame)
	if err == nil {
		err = json.Unmarshal(raw, &head)
	}
	if err == nil {
		program, err = expectFrame(r, frameProgram, MaxProgram)
	}
	if err == nil {
		input, err = expectFrame(r, frameInput, MaxInput)
	}
	return head, program, input, err
}

// writeAnswer sends a child's last frame: the result, or the refusal err.
func writeAnswer(w io.Writer, result Result, err error) error {
	if err == nil {
		var failed byte
		if result.Failed {
			failed = 1
		}
		return writeFrame(w, frameResult, []byte{failed}, result.MemoryHash[:], result.Output)
	}
	class := max(0, slices.IndexFunc(refusals, func(class error) bool { return errors.Is(err, class) }))
	reason := err.Error()
	return writeFrame(w, frameRefusal, []byte{byte(class)}, []byte(reason[:min(len(reason), maxReason-1)]))
}

// readAnswer reads what a child says until its answer. Logs are told as they
// come, and returned with an error too: they may tell why. io.EOF means that the
// child went silent.
func readAnswer(r io.Reader, outputLimit uint32, listen Listener) (Result, error) {
	limit := func(kind byte) int {
		switch kind {
		case frameLogs:
			return MaxLogs
		case frameResult:
			return resultHead + max(int(outputLimit), maxFailed)
		case frameRefusal:
			return maxReason
		}
		return -1
	}
	var logs []byte
	for {
		kind, payload, err := readFrame(r, limit)
		switch {
		case err != nil:
			return Result{Logs: logs}, err
		case kind == frameResult:
			result, err := parseResult(payload)
			result.Logs = logs
			return result, err
		case kind == frameRefusal:
			return Result{Logs: logs}, parseRefusal(payload)
		}
		payload = payload[:min(len(payload), MaxLogs-len(logs))]
		logs = append(logs, payload...)
		listen.logs(payload)
	}
}

func parseResult(payload []byte) (Result, error) {
	if len(payload) < resultHead || payload[0] > 1 {
		return Result{}, fmt.Errorf("%w: malformed result from the child", ErrHost)
	}
	result := Result{
		Failed:     payload[0] == 1,
		MemoryHash: MemoryHash(payload[1:resultHead]),
		Output:     payload[resultHead:],
	}
	if _, failed := DecodeFailed(result.Output); result.Failed && !failed {
		return Result{}, fmt.Errorf("%w: malformed failure from the child", ErrHost)
	}
	return result, nil
}

// A refusal is an error that crossed the pipe: the words of the child, the
// class by which to judge them.
type refusal struct {
	class  error
	reason string
}

func (r *refusal) Error() string { return r.reason }
func (r *refusal) Unwrap() error { return r.class }

func parseRefusal(payload []byte) error {
	if len(payload) == 0 || int(payload[0]) >= len(refusals) {
		return fmt.Errorf("%w: malformed refusal from the child", ErrHost)
	}
	return &refusal{refusals[payload[0]], string(payload[1:])}
}
