package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// FromNow as the After of [EventQuery] begins with what has not happened yet.
const FromNow = ^uint64(0)

// EventQuery selects events. The zero value selects all that the node has.
type EventQuery struct {
	After uint64           // the Seq of the last one seen; 0 is none, [FromNow] all there are
	Whole view.Height      // the newest block that was heard to its end; 0: not known, so no block is told again
	Kinds []view.EventKind // none: all kinds
}

// id is SEQ or SEQ-HEIGHT, as the stream names a place in it.
func (q EventQuery) id() string {
	if q.Whole == 0 {
		return strconv.FormatUint(q.After, 10)
	}
	return fmt.Sprintf("%d-%d", q.After, q.Whole)
}

// resume takes a place that the stream has named.
func (q *EventQuery) resume(id string) {
	seq, height, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return
	}
	h, err := strconv.ParseUint(height, 10, 64)
	if err != nil {
		h = 0
	}
	q.After, q.Whole = n, view.Height(h)
}

func (q EventQuery) values() url.Values {
	v := url.Values{}
	switch q.After {
	case 0:
	case FromNow:
		v.Set("after", "now")
	default:
		v.Set("after", q.id())
	}
	if len(q.Kinds) > 0 {
		names := make([]string, len(q.Kinds))
		for i, k := range q.Kinds {
			names[i] = string(k)
		}
		v.Set("kinds", strings.Join(names, ","))
	}
	return v
}

// Events returns a page of at most limit events, oldest first. The page after it
// begins at its Next.
func (c *Client) Events(ctx context.Context, q EventQuery, limit int) (view.Events, error) {
	v := q.values()
	v.Set("follow", "false")
	v.Set("limit", strconv.Itoa(limit))
	return get[view.Events](ctx, c, path("events"), v)
}

// Bounds of a stream of events.
const (
	maxEvent    = 4 << 20          // bytes of one
	quiet       = 90 * time.Second // after which the node is taken for dead: it gives signs of life
	followFirst = 250 * time.Millisecond
	followMost  = 5 * time.Second
)

// errEnded reports that a stream of events has ended: the node has stopped, or
// the connection broke.
var errEnded = errors.New("client: the stream of events ended")

// Follow calls do with each event as it happens, in order, until ctx ends or do
// fails. When the node goes away after the stream has begun, Follow tells away,
// if it is not nil, once, and goes on where it was as soon as the node, or the
// one of the same home, is back. What the blocks did meanwhile it is told, if
// they are not too many; of all else that is gone it is told that it is, by an
// event of kind [view.EventGap].
func (c *Client) Follow(ctx context.Context, q EventQuery, do func(view.Event) error, away func(error)) error {
	reader := &eventReader{query: q, do: do}
	begun := false
	for pause := followFirst; ; pause = min(2*pause, followMost) {
		err := reader.read(ctx, c.moved())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case reader.failed != nil:
			return reader.failed
		case !begun && !reader.heard || !passing(err):
			return err
		}
		begun = true
		if reader.heard {
			reader.heard, pause = false, followFirst
			if away != nil {
				away(err)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// passing reports whether what ended a stream may be over soon.
func passing(err error) bool {
	var no *view.Error
	if errors.As(err, &no) {
		return no.Retryable || errors.Is(err, ErrUnreachable)
	}
	return errors.Is(err, ErrUnreachable) || errors.Is(err, errEnded) || errors.Is(err, errForeign)
}

// moved returns a client of the same home's node at the address that it has now.
func (c *Client) moved() *Client {
	if c.dir == "" {
		return c
	}
	if now, err := Open(c.dir, ""); err == nil {
		now.http = c.http
		return now
	}
	return c
}

// eventReader reads streams of events, one after the other.
type eventReader struct {
	query  EventQuery
	do     func(view.Event) error
	heard  bool  // the node has said something since heard was last false
	failed error // of do
}

// read reads one stream to its end.
func (r *eventReader) read(ctx context.Context, c *Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.do(ctx, http.MethodGet, path("events")+"?"+r.query.values().Encode(), "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if t := resp.Header.Get("Content-Type"); !strings.HasPrefix(t, "text/event-stream") {
		return errForeign
	}
	dead := time.AfterFunc(quiet, cancel)
	defer dead.Stop()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	data := ""
	for lines.Scan() {
		r.heard = true
		dead.Reset(quiet)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			r.query.resume(value)
		case "data":
			data = value // a node writes it in one line
		case "":
			if err := r.tell(data); err != nil {
				return err
			}
			data = ""
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return errEnded
}

// tell hands one event on.
func (r *eventReader) tell(data string) error {
	if data == "" {
		return nil
	}
	var e view.Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return fmt.Errorf("%w: %w", errForeign, err)
	}
	r.failed = r.do(e)
	return r.failed
}
