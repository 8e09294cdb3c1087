package task_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// largest returns a task and a platform with every field as large as it may be.
func largest() (task.Task, task.Platform) {
	blob, whole := atp.SumBlob([]byte("x")), task.S
	party := task.Party{ID: bob, Society: task.Society(bob.String()), Admitted: true}
	terms := task.Terms{
		Type: task.Type(strings.Repeat("t", 32)), Complexity: task.Critical,
		Horizon: task.Horizon{Spatial: task.Regional, Temporal: task.Ephemeral, Complexity: task.SocietyWide},
		Runtime: task.Runtime(strings.Repeat("r", 64)), Program: blob, Memory: task.MaxMemory, Input: blob, InputSize: task.MaxBlob,
		Executor: atp.OptionalID{ID: bob}, Price: atp.MaxAmount, MinQuality: task.S, Class: task.Checker, Checker: &blob,
		OfferWindow: math.MaxUint64, ExecutionWindow: math.MaxUint64, Private: false,
	}
	t := task.Task{
		ID: atp.Sum(nil), Requester: party, Terms: terms, Fee: atp.MaxAmount, Stage: task.Accepted, Deadline: math.MaxUint64, Posted: math.MaxUint64,
		Acceptance: &task.Acceptance{Executor: party, Bond: atp.MaxAmount, LateCharge: atp.MaxAmount, Seats: 7, Time: math.MaxUint64},
		Proof: &task.Proof{Result: blob, Size: task.MaxBlob, Claim: &whole, Record: task.Record{
			Latency: math.MaxUint64, Cost: atp.MaxAmount, Tokens: math.MaxUint64, Iterations: math.MaxUint64, FinalEnergy: math.MinInt64, Convergence: task.S,
		}},
		PostedAt: math.MaxUint64,
		Review: &task.Review{
			Audit: task.S, Disputed: true, Appealed: true, First: task.OverLimit, Quality: task.S, Level: task.Everyone,
			Asked: math.MaxUint64, Until: math.MaxUint64, Committee: 7, Everyone: 41, Final: true, Committed: 41, Revealed: 41,
		},
	}
	p := jetson()
	p.Name, p.Society, p.Hardware.Architecture = task.Name(strings.Repeat("n", 32)), task.Society(strings.Repeat("s", 32)), strings.Repeat("a", 32)
	p.Offers, p.Runtimes = nil, nil
	for i := range 16 {
		p.Offers = append(p.Offers, task.Offer{
			Type: task.Type(fmt.Sprintf("%s%02d", strings.Repeat("t", 30), i)),
			Low:  atp.MaxAmount, Medium: atp.MaxAmount, High: atp.MaxAmount, Critical: atp.MaxAmount, PerSecond: atp.MaxAmount,
		})
		p.Runtimes = append(p.Runtimes, task.Runtime(fmt.Sprintf("%s%02d", strings.Repeat("r", 62), i)))
	}
	return t, p
}

func TestTheLargestRecordsFitInAStatesValue(t *testing.T) {
	tk, p := largest()
	if err := errors.Join(tk.Terms.Check(), p.Check()); err != nil {
		t.Fatal(err)
	}
	var seats, candidates task.Panel
	for range 41 {
		seats.Seats = append(seats.Seats, task.Seat{Witness: bob, Bond: atp.MaxAmount, Committed: true, Revealed: true, Answer: task.ResourceLimit})
	}
	for range 100 {
		candidates.Candidates = append(candidates.Candidates, bob)
	}
	for name, v := range map[string]atp.Value{"task": &tk, "platform": &p, "seats of everyone": &seats, "candidates": &candidates} {
		data, err := atp.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > task.MaxTask {
			t.Errorf("%s: have %d bytes, want at most %d", name, len(data), task.MaxTask)
		}
		t.Logf("%s: at most %d bytes", name, len(data))
	}
}

// decoders read each kind of record from bytes of a stranger's.
func decoders() map[string]func([]byte) (atp.Value, error) {
	return map[string]func([]byte) (atp.Value, error){
		"terms":    func(b []byte) (atp.Value, error) { t, err := task.DecodeTerms(b); return &t, err },
		"task":     func(b []byte) (atp.Value, error) { t, err := task.DecodeTask(b); return &t, err },
		"platform": func(b []byte) (atp.Value, error) { p, err := task.DecodePlatform(b); return &p, err },
		"proof":    func(b []byte) (atp.Value, error) { p := new(task.Proof); return p, atp.Decode(b, p) },
		"panel":    func(b []byte) (atp.Value, error) { p := new(task.Panel); return p, atp.Decode(b, p) },
		"stake":    func(b []byte) (atp.Value, error) { s := new(task.Stake); return s, atp.Decode(b, s) },
		"evidence": func(b []byte) (atp.Value, error) { e := new(task.Evidence); return e, atp.Decode(b, e) },
		"economy":  func(b []byte) (atp.Value, error) { e := new(task.Economy); return e, atp.Decode(b, e) },
	}
}

// FuzzDecode holds every record to its one form: what is read is written again
// as the same bytes, and all else is refused.
func FuzzDecode(f *testing.F) {
	tk, p := largest()
	fresh := task.Task{ID: atp.Sum(nil), Requester: tk.Requester, Terms: terms(), Stage: task.Posted}
	economy := task.DefaultEconomy()
	for _, v := range []atp.Value{
		&tk, &tk.Terms, tk.Proof, &fresh, &fresh.Terms, &p, &task.Evidence{For: 3, Against: 70_000, Day: 20_000}, &economy,
		&task.Panel{Candidates: []atp.ID{alice}, Seats: []task.Seat{{Witness: bob, Bond: 7, Committed: true, Answer: task.Unavailable}}},
		&task.Stake{Amount: 5, Leaving: 4, Reserved: 3, Open: 2, Seen: 1},
	} {
		data, err := atp.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, decode := range decoders() {
			v, err := decode(data)
			if err != nil {
				continue
			}
			if again, err := atp.Encode(v); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("%s: read %x, wrote %x, %v", name, data, again, err)
			}
		}
	})
}

func TestARecordIsReadInItsOneFormOnly(t *testing.T) {
	terms := terms()
	good, err := atp.Encode(&terms)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := task.DecodeTerms(good); err != nil || got != terms {
		t.Errorf("have %+v, %v, want %+v", got, err, terms)
	}
	elsewhere := terms
	elsewhere.Horizon.Spatial = "nowhere"
	unknown, err := atp.Encode(&elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"one byte more":          {append(bytes.Clone(good), 0), atp.ErrEncoding},
		"one byte less":          {good[:len(good)-1], atp.ErrEncoding},
		"one field less":         {append([]byte{good[0] - 1}, good[1:]...), atp.ErrEncoding},
		"an indefinite length":   {append(append([]byte{0x9f}, good[1:]...), 0xff), atp.ErrEncoding},
		"a word that is unknown": {unknown, task.ErrTerms},
	} {
		if _, err := task.DecodeTerms(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: have %v, want %v", name, err, tt.want)
		}
	}
}
