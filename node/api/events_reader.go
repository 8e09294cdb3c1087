package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// reader is where somebody stands who reads events, and how to tell them.
type reader struct {
	seq   uint64           // of the last event seen; 0 is none
	whole view.Height      // the newest block of which all events have been seen; 0 while it is not known
	again view.Height      // blocks up to this one were told again
	most  view.Height      // so many blocks are told again at most
	kinds []view.EventKind // that are wanted; none is all
	send  func(e view.Event, id string) error
}

// parseReader reads an ID of the stream: SEQ or SEQ-HEIGHT.
func parseReader(text string) (reader, error) {
	seq, height, both := strings.Cut(text, "-")
	var r reader
	n, err := strconv.ParseUint(seq, 10, 64)
	if r.seq = n; err == nil && both {
		n, err = strconv.ParseUint(height, 10, 64)
		r.whole = view.Height(n)
	}
	if err != nil {
		return reader{}, invalid("after or Last-Event-ID %q: want the ID of an event, or now", clip(text))
	}
	return r, nil
}

// id is what the reader resumes with.
func (r *reader) id() string {
	switch {
	case r.seq == 0:
		return ""
	case r.whole == 0:
		return strconv.FormatUint(r.seq, 10)
	}
	return fmt.Sprintf("%d-%d", r.seq, r.whole)
}

// maxAgain is how many blocks are told again to one who was away.
const maxAgain = 1000

// hear takes the next event of the log. What is gone before it is said to be
// gone, and told again from the blocks as far as they are not too many. Heights
// never fall: after a lower one than the reader knew, the chain is another.
func (s *Server) hear(ctx context.Context, r *reader, e view.Event) error {
	if r.seq != 0 && e.Seq != r.seq+1 {
		if err := s.bridge(ctx, r, e); err != nil {
			return err
		}
	}
	r.seq = e.Seq
	if r.again > 0 && e.OfBlock() && e.Height <= r.again {
		return nil // told again already
	}
	return r.tell(e)
}

// bridge tells a gap before e and, from the chain, what it hides.
func (s *Server) bridge(ctx context.Context, r *reader, e view.Event) error {
	gap := view.Gap{AfterSeq: r.seq, BeforeSeq: e.Seq, ChainMissed: r.whole == 0 || e.Height != r.whole}
	if r.whole > 0 && e.Height > r.whole && e.Height-r.whole <= r.most {
		switch _, err := s.node.BlockAt(ctx, r.whole+1); {
		case err == nil:
			gap.FromHeight, gap.ToHeight, gap.ChainMissed = r.whole+1, e.Height, false
		case explain(err).Code != view.CodeNotFound:
			return err // it will be there: nothing has been told yet, so ask again
		}
	}
	data, err := json.Marshal(gap)
	if err != nil {
		return err
	}
	// It bears the ID of before: who breaks off here begins here again.
	if err := r.send(view.Event{Kind: view.EventGap, Name: view.NameGap, Height: e.Height, TimeMS: e.TimeMS, Data: data}, r.id()); err != nil {
		return err
	}
	if gap.ChainMissed {
		r.whole, r.again = 0, 0 // they are not known any more
		return nil
	}
	r.again = max(r.again, r.whole)
	for h := gap.FromHeight; h > 0 && h <= gap.ToHeight; h++ {
		b, err := s.node.BlockAt(ctx, h)
		if err != nil {
			return err
		}
		for _, again := range b.Happened() {
			if err := r.tell(again); err != nil {
				return err
			}
		}
		r.again = h
	}
	return nil
}

// tell sends an event if it is wanted, and notes the end of a block.
func (r *reader) tell(e view.Event) error {
	if e.Kind == view.EventBlock {
		r.whole = e.Height
	}
	if len(r.kinds) > 0 && !slices.Contains(r.kinds, e.Kind) {
		return nil
	}
	return r.send(e, r.id())
}

// sendTo has a reader's events written to w as server-sent events.
func sendTo(w http.ResponseWriter) func(view.Event, string) error {
	return func(e view.Event, id string) error {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if id != "" {
			id = "id: " + id + "\n"
		}
		_, err = fmt.Fprintf(w, "%sevent: %s\ndata: %s\n\n", id, e.Kind, data)
		return err
	}
}
