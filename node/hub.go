package node

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// keptEvents is how many of the newest events the hub holds. A reader that
// fell further behind reads blocks instead.
const keptEvents = 4096

// hub tells those who wait that something happened, and what. Terminal, web
// page and commands read this one log.
type hub struct {
	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed at the next change
	seq     uint64        // guarded by mu: of the newest event
	events  []view.Event  // guarded by mu: the newest, oldest first
	alarms  []string      // guarded by mu: what the operator must hear, oldest first
}

// keptAlarms bounds the alarms that are shown.
const keptAlarms = 16

// newHub numbers events from the clock, so that numbers grow over restarts.
func newHub(now time.Time) *hub {
	return &hub{changed: make(chan struct{}), seq: uint64(now.UnixMicro())}
}

// Changed returns a channel that is closed at the next change.
func (h *hub) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// after returns at most limit events after seq, oldest first. A seq that is not
// reached yet is of before a clock was set back: all events are after it.
func (h *hub) after(seq uint64, limit int) []view.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq > h.seq {
		seq = 0
	}
	page := []view.Event{}
	for _, e := range h.events {
		if e.Seq > seq && len(page) < limit {
			page = append(page, e)
		}
	}
	return page
}

// tell appends events, and wakes everyone who waits, also when there is none.
func (h *hub) tell(events ...view.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		h.seq++
		e.Seq = h.seq
		h.events = append(h.events, e)
	}
	if over := len(h.events) - keptEvents; over > 0 {
		h.events = append(h.events[:0], h.events[over:]...)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// alarm is an event that also stays in sight. The same text again is the same alarm.
func (h *hub) alarm(text string) {
	h.mu.Lock()
	for _, a := range h.alarms {
		if a == text {
			h.mu.Unlock()
			return
		}
	}
	h.alarms = append(h.alarms, text)
	h.alarms = h.alarms[max(0, len(h.alarms)-keptAlarms):]
	h.mu.Unlock()
	h.tell(view.Event{Kind: view.EventAlarm, Name: "ALARM", TimeMS: view.Millis(nowMillis()), Subject: text})
}

func (h *hub) alarmed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.alarms...)
}

// final tells of a block and of everything that it did, and then of more news.
func (h *hub) final(f replica.Final, news ...view.Event) {
	header := f.Block.Header
	tip := f.Result.State.Tip()
	events := []view.Event{{
		Kind: view.EventBlock, Name: "BLOCK", Height: view.Height(header.Height), TimeMS: view.Millis(header.Time), Subject: tip.ID.String(),
	}}
	events = append(events, txEvents(f.Block, f.Result.Receipts)...)
	events = append(events, receiptEvents(header, f.Result.Receipts)...)
	h.tell(append(events, news...)...)
}

// receiptEvents returns the events of a block as people and programs read them.
func receiptEvents(header chain.Header, receipts []chain.Receipt) []view.Event {
	var events []view.Event
	for _, r := range receipts {
		for _, e := range r.Events {
			events = append(events, viewEvent(header.Height, header.Time, r.Subject, e))
		}
	}
	return events
}

func viewEvent(height bft.Height, at atp.Millis, subject cid.Cid, e chain.Event) view.Event {
	// A fact has only fields that JSON can hold.
	data, err := json.Marshal(e.Fact)
	if err != nil {
		data = nil
	}
	kind := view.EventTransfer
	switch f := e.Fact.(type) {
	case *task.Moved:
		kind, subject = view.EventTask, f.Task
	case *task.Engaged:
		kind, subject = view.EventTask, f.Task
	case *task.Paid:
		kind, subject = view.EventTask, f.Task
	case *task.Locked:
		kind, subject = view.EventTask, f.Task
	case *task.ReputationChanged:
		kind, subject = view.EventReputation, f.Task
	case *chain.PlatformRegistered:
		kind = view.EventPeer
	}
	about := subject.String()
	if id, ok := e.Member(); ok {
		kind, about = view.EventValidator, id.String()
	}
	return view.Event{
		Kind: kind, Name: e.Name(), Height: view.Height(height), TimeMS: view.Millis(at), Subject: about, Data: data,
	}
}
