package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// stream is a connection to the event stream.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	resume string // what a browser would resume with
}

func (s served) stream(query, resume string) *stream {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.URL()+"/api/v1/events"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if resume != "" {
		req.Header.Set("Last-Event-ID", resume)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET /api/v1/events%s = %s", query, resp.Status)
	}
	return &stream{t: s.t, lines: bufio.NewScanner(resp.Body), resume: resume}
}

// next returns the next event, as its kind and number.
func (st *stream) next() string {
	st.t.Helper()
	for st.lines.Scan() {
		if id, ok := strings.CutPrefix(st.lines.Text(), "id: "); ok {
			st.resume = id
		}
		if data, ok := strings.CutPrefix(st.lines.Text(), "data: "); ok {
			var e view.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				st.t.Fatal(err)
			}
			if e.Kind == view.EventGap {
				return fmt.Sprintf("gap %s", e.Data)
			}
			return fmt.Sprintf("%s %d", e.Kind, e.Seq)
		}
	}
	st.t.Fatalf("the stream ended: %v", st.lines.Err())
	return ""
}

func TestAReaderHearsThatEventsAreGone(t *testing.T) {
	s := serve(t, func(l *limits) { l.beat = 10 * time.Millisecond })
	before := s.stream("", "")
	before.next()
	if got := before.next(); got != "block 2" {
		t.Fatalf("event = %s, want block 2", got)
	}
	s.node.Restart()
	s.node.Tell(view.Event{Kind: view.EventPeer, Name: view.NameNodeUp, Height: 1})
	after := s.stream("", before.resume)
	if got := after.next(); got != `gap {"after_seq":2,"before_seq":1000003,"chain_missed":false}` {
		t.Errorf("after a restart: %s, want the gap", got)
	}
	if got := after.next(); got != "peer 1000003" {
		t.Errorf("after the gap: %s, want peer 1000003", got)
	}
	s.node.Tell(view.Event{Kind: view.EventAlarm, Name: "ALARM"})
	if got := after.next(); got != "alarm 1000004" {
		t.Errorf("event = %s, want alarm 1000004 and no second gap", got)
	}
	// A clock that was set back must not leave a reader waiting for ever.
	if got := s.stream("", "9999999999").next(); got != `gap {"after_seq":9999999999,"before_seq":1000003,"chain_missed":true}` {
		t.Errorf("a number of the future: %s, want the gap", got)
	}
}

// What blocks did while a reader was away, or a node did not run, it is told
// again, whole and once.
func TestAReaderMissesNothingOfTheChain(t *testing.T) {
	s := serve(t, func(l *limits) { l.beat = 10 * time.Millisecond })
	before := s.stream("", "")
	before.next()
	before.next()
	for range 3 {
		s.ask("POST", "/api/v1/transfers", `{"to":"beta","amount_uatp":1}`) // heights 2 to 4
	}
	s.node.Restart()
	s.node.Tell(view.Event{Kind: view.EventPeer, Name: view.NameNodeUp, Height: 4})
	s.ask("POST", "/api/v1/transfers", `{"to":"beta","amount_uatp":1}`)
	after := s.stream("", before.resume)
	first := s.node.Seq() - 2
	want := []string{
		fmt.Sprintf(`gap {"after_seq":2,"before_seq":%d,"chain_missed":false,"from_height":2,"to_height":4}`, first),
		"tx 0", "block 0", "tx 0", "block 0", "tx 0", "block 0",
		fmt.Sprintf("peer %d", first), fmt.Sprintf("tx %d", first+1), fmt.Sprintf("block %d", first+2),
	}
	for i, text := range want {
		if got := after.next(); got != text {
			t.Fatalf("event %d = %s, want %s", i, got, text)
		}
	}
	if want := fmt.Sprintf("%d-5", first+2); after.resume != want {
		t.Errorf("resumes at %s, want %s", after.resume, want)
	}
	t.Run("also who broke off among them", func(t *testing.T) {
		within := s.stream("?kinds=block", "2-1")
		within.next()
		within.next()
		if within.resume != "2-2" {
			t.Fatalf("resumes at %s, want 2-2", within.resume)
		}
		again := s.stream("?kinds=block", within.resume)
		if got := again.next(); !strings.Contains(got, `"from_height":3,"to_height":4`) {
			t.Errorf("resumed: %s, want the blocks from 3", got)
		}
	})
	t.Run("but all of the blocks of another chain, which began anew", func(t *testing.T) {
		rd := reader{seq: 2, whole: 3, again: 3, most: maxAgain}
		var told []string
		rd.send = func(e view.Event, _ string) error { told = append(told, string(e.Kind)+string(e.Data)); return nil }
		for _, e := range []view.Event{{Kind: view.EventAlarm, Name: view.NameAlarm, Seq: 99}, {Kind: view.EventBlock, Seq: 100, Height: 1}} {
			if err := s.hear(t.Context(), &rd, e); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != 3 || !strings.Contains(told[0], `"chain_missed":true`) || told[2] != "block" || rd.id() != "100-1" {
			t.Errorf("told %q, resumes at %s", told, rd.id())
		}
	})
	t.Run("but not of more blocks than can be told", func(t *testing.T) {
		rd := reader{seq: 2, whole: 1, most: 2}
		var told []string
		rd.send = func(e view.Event, _ string) error { told = append(told, string(e.Kind)+string(e.Data)); return nil }
		if err := s.hear(t.Context(), &rd, view.Event{Kind: view.EventPeer, Name: view.NameNodeUp, Seq: 99, Height: 4}); err != nil {
			t.Fatal(err)
		}
		if len(told) != 2 || !strings.Contains(told[0], `"chain_missed":true`) || rd.id() != "99" {
			t.Errorf("told %q, resumes at %s", told, rd.id())
		}
	})
}

// A reader of few kinds resumes past what it did not want, so that its place is
// not gone long before it has missed anything.
func TestAReaderOfFewKindsKeepsItsPlace(t *testing.T) {
	s := serve(t, func(l *limits) { l.beat = 10 * time.Millisecond })
	st := s.stream("?kinds=alarm", "")
	s.node.Tell(view.Event{Kind: view.EventAlarm, Name: "ALARM"})
	st.next()
	for range 3 {
		s.node.Tell(view.Event{Kind: view.EventTask, Name: "FEDERATION_TASK"})
	}
	for st.resume != "6-1" && st.lines.Scan() {
		if id, ok := strings.CutPrefix(st.lines.Text(), "id: "); ok {
			st.resume = id
		}
	}
	if st.resume != "6-1" {
		t.Errorf("resumes after %s, want 6-1", st.resume)
	}
}

func TestAReaderMayBeginNow(t *testing.T) {
	s := serve(t, func(l *limits) { l.beat = 10 * time.Millisecond })
	st := s.stream("?after=now", "")
	for st.resume != "2" && st.lines.Scan() { // it stands at the end of what there was
		if id, ok := strings.CutPrefix(st.lines.Text(), "id: "); ok {
			st.resume = id
		}
	}
	s.node.Tell(view.Event{Kind: view.EventAlarm, Name: "ALARM"})
	if got := st.next(); got != "alarm 3" {
		t.Errorf("first event = %s, want alarm 3", got)
	}
}

func TestEventsComeInPages(t *testing.T) {
	s := serve(t, nil)
	for i := range 600 {
		kind := view.EventTask
		if i%2 == 1 {
			kind = view.EventAlarm
		}
		s.node.Tell(view.Event{Kind: kind, Name: "X"})
	}
	read := func(query string) view.Events {
		t.Helper()
		resp, body := s.ask("GET", "/api/v1/events?follow=false"+query, "")
		var page view.Events
		if err := json.Unmarshal([]byte(body), &page); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s = %d %.200s", query, resp.StatusCode, body)
		}
		return page
	}
	var seen []uint64
	after := uint64(0)
	for {
		page := read(fmt.Sprintf("&kinds=alarm&limit=70&after=%d", after))
		for _, e := range page.Events {
			seen = append(seen, e.Seq)
		}
		if len(page.Events) < 70 {
			break
		}
		after = page.Next
	}
	var want []uint64
	for seq := uint64(4); seq <= 602; seq += 2 {
		want = append(want, seq)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("alarms in pages differ (-want +got):\n%s", diff)
	}
	if page := read("&after=602"); len(page.Events) != 0 || page.Next != 602 {
		t.Errorf("page at the end = %+v", page)
	}
	s.node.Restart()
	s.node.Tell(view.Event{Kind: view.EventAlarm, Name: "X"})
	if page := read("&after=602"); len(page.Events) != 2 || page.Events[0].Kind != view.EventGap {
		t.Errorf("page after a restart = %+v, want a gap and an alarm", page)
	}
}

func TestUnknownKindsAreRefused(t *testing.T) {
	s := serve(t, nil)
	for _, query := range []string{"?kinds=blocks", "?kinds=block,,tx", "?kinds=gap", "?after=x", "?after=-1", "?follow=false&limit=0", "?follow=false&limit=1001"} {
		resp, body := s.ask("GET", "/api/v1/events"+query, "")
		s.wantError(resp, body, http.StatusBadRequest, view.CodeInvalid)
	}
}

func TestListsComeInPages(t *testing.T) {
	s := serve(t, nil)
	for range 3 {
		s.ask("POST", "/api/v1/locks", `{"to":"beta","amount_uatp":5,"deadline_ms":1900000000000}`)
	}
	for path, list := range map[string]string{
		"/api/v1/peers": "peers", "/api/v1/platforms": "platforms", "/api/v1/locks": "locks",
	} {
		var whole, seen []json.RawMessage
		next := ""
		for range 10 {
			_, body := s.ask("GET", path+"?limit=2&cursor="+url.QueryEscape(next), "")
			items, cursor := listOf(t, body, list)
			if seen = append(seen, items...); cursor == "" {
				break
			}
			if len(items) != 2 {
				t.Errorf("%s: a page of %d, want 2", path, len(items))
			}
			next = cursor
		}
		_, body := s.ask("GET", path, "")
		if whole, next = listOf(t, body, list); next != "" || len(whole) < 3 {
			t.Errorf("%s without a limit: %d items, then %q", path, len(whole), next)
		}
		if diff := cmp.Diff(texts(whole), texts(seen)); diff != "" {
			t.Errorf("%s in pages differs (-whole +pages):\n%s", path, diff)
		}
		resp, body := s.ask("GET", path+"?limit=0", "")
		s.wantError(resp, body, http.StatusBadRequest, view.CodeInvalid)
	}
	_, body := s.ask("GET", "/api/v1/blocks?limit=2", "")
	if _, rest, _ := strings.Cut(body, `"next":`); !strings.HasPrefix(rest, "3}") {
		t.Errorf("blocks = %s, want next 3", body)
	}
}

func listOf(t *testing.T, body, name string) (items []json.RawMessage, next string) {
	t.Helper()
	var page map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if err := json.Unmarshal(page[name], &items); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if page["next"] != nil {
		if err := json.Unmarshal(page["next"], &next); err != nil {
			t.Fatal(err)
		}
	}
	return items, next
}

func texts(list []json.RawMessage) []string {
	all := make([]string, len(list))
	for i, b := range list {
		all[i] = string(b)
	}
	return all
}

// Pages in sequence show every item once, whatever its key, and end.
func FuzzPages(f *testing.F) {
	f.Add("a,b,c,d", uint8(2))
	f.Add("\x00,\xff,,a", uint8(1))
	f.Fuzz(func(t *testing.T, text string, limit uint8) {
		keys := strings.Split(text, ",")
		slices.Sort(keys)
		keys = slices.DeleteFunc(slices.Compact(keys), func(k string) bool { return k == "" })
		if limit == 0 {
			return
		}
		var seen []string
		q := url.Values{"limit": {fmt.Sprint(limit)}}
		for range len(keys) + 1 {
			part, next, err := page(q, keys, func(k string) string { return k })
			if err != nil {
				t.Fatal(err)
			}
			if seen = append(seen, part...); next == "" {
				break
			}
			q.Set("cursor", next)
		}
		if !slices.Equal(keys, seen) {
			t.Errorf("pages of %d show %q, want %q", limit, seen, keys)
		}
	})
}

// Whatever a request asks of the events, it gets a page or a reason.
func FuzzEventsQuery(f *testing.F) {
	f.Add("after=1&kinds=block,tx&limit=3")
	f.Add("after=now&follow=false")
	f.Add("kinds=,&limit=99999999999999999999")
	n := apitest.New()
	s := New(Config{}, n)
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/api/v1/events", RawQuery: q.Encode()}, Header: http.Header{}}
		for _, err := range []error{
			second(s.newReader(r)), second(limitOr(r.URL.Query(), recent)),
			second(s.readPatience(r, waitFinal)),
		} {
			if err != nil && explain(err).Code != view.CodeInvalid {
				t.Errorf("%q: %v, want a request that is blamed", raw, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
