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

// keptEvents is how many of the newest events the hub holds at least, and half
// of what it holds at most. A reader that fell further behind is told what the
// blocks say instead.
const keptEvents = 4096

// hub tells those who wait that something happened, and what. Terminal, web
// page and commands read this one log.
type hub struct {
	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed at the next change
	seq     uint64        // guarded by mu: of the newest event
	height  view.Height   // guarded by mu: the greatest that was told
	events  []view.Event  // guarded by mu: the newest, oldest first
	alarms  []string      // guarded by mu: what the operator must hear, oldest first
	said    func(string)  // called with each alarm; set before anything runs
}

// keptAlarms bounds the alarms that are shown.
const keptAlarms = 16

// newHub numbers events from the clock, so that numbers grow over restarts.
func newHub(now time.Time) *hub {
	return &hub{changed: make(chan struct{}), seq: uint64(now.UnixMicro()), said: func(string) {}}
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
	from := 0
	if len(h.events) > 0 && seq >= h.events[0].Seq { // they are numbered without a gap
		from = int(seq - h.events[0].Seq + 1)
	}
	page := append([]view.Event{}, h.events[from:min(from+limit, len(h.events))]...)
	return page
}

// tell appends events, and wakes everyone who waits, also when there is none.
func (h *hub) tell(events ...view.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		h.seq++
		e.Seq = h.seq
		h.height = max(h.height, e.Height)
		h.events = append(h.events, e)
	}
	if len(h.events) >= 2*keptEvents { // not each time, for it moves them all
		h.events = append(h.events[:0], h.events[len(h.events)-keptEvents:]...)
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
	height := h.height
	h.mu.Unlock()
	h.said(text)
	h.tell(view.Event{Kind: view.EventAlarm, Name: view.NameAlarm, Height: height, TimeMS: view.Millis(nowMillis()), Subject: text})
}

func (h *hub) alarmed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.alarms...)
}

// final tells of everything that a block did, of more news, and then of the
// block: a reader of that has heard all of it.
func (h *hub) final(f replica.Final, news ...view.Event) {
	header := f.Block.Header
	events := append(txEvents(f.Block, f.Result.Receipts), receiptEvents(header, f.Result.Receipts)...)
	events = append(events, news...)
	h.tell(append(events, view.BlockEvent(viewCID(f.Result.State.Tip().ID), view.Height(header.Height), view.Millis(header.Time)))...)
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
	case *task.Challenged, *task.Drawn, *task.Revealed, *task.Judged, *task.SeatPaid:
		kind, subject = view.EventTask, e.Task()
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
