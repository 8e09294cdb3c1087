package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// open serves a node until the test ends and returns a client of its home.
func open(t *testing.T) (*apitest.Node, *client.Client) {
	t.Helper()
	n, home := apitest.New(), t.TempDir()
	s := api.New(api.Config{Home: home, Addr: "127.0.0.1:0"}, n)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	for {
		if _, err := os.Stat(filepath.Join(home, view.AddrFile)); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	c, err := client.Open(home, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return n, c
}

func TestTheClientReadsWhatTheNodeSays(t *testing.T) {
	n, c := open(t)
	ctx := t.Context()
	want, err := n.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b view.CID) bool { return a == b })); diff != "" {
		t.Errorf("status differs (-node +client):\n%s", diff)
	}
	for name, f := range map[string]func() (any, error){
		"peers":      func() (any, error) { return c.Peers(ctx) },
		"validators": func() (any, error) { return c.Validators(ctx) },
		"platforms":  func() (any, error) { return c.Platforms(ctx) },
		"platform":   func() (any, error) { return c.Platform(ctx, "beta") },
		"account":    func() (any, error) { return c.Account(ctx, "beta") },
		"history":    func() (any, error) { return c.History(ctx, "alpha", "", 5) },
		"locks":      func() (any, error) { return c.Locks(ctx) },
		"blocks":     func() (any, error) { return c.Blocks(ctx, 0, 5) },
		"block":      func() (any, error) { return c.Block(ctx, "1") },
		"tasks": func() (any, error) {
			return c.Tasks(ctx, view.TaskFilter{Limit: 5, State: view.TaskPosted, Mine: true})
		},
	} {
		if v, err := f(); err != nil {
			t.Errorf("%s = %v, %v", name, v, err)
		}
	}
}

func TestOnlyItsOwnerStopsANode(t *testing.T) {
	n, c := open(t)
	stranger, err := client.New(c.URL(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	var e *view.Error
	if _, err := stranger.Stop(t.Context()); !errors.As(err, &e) || e.Code != view.CodeUnauthorized {
		t.Errorf("Stop without a token = %v, want %s", err, view.CodeUnauthorized)
	}
	select {
	case <-n.Stopped:
		t.Fatal("a stranger stopped the node")
	default:
	}
	if told, err := c.Stop(t.Context()); err != nil || told.PID != n.StatusNow.PID {
		t.Errorf("Stop = %+v, %v", told, err)
	}
	<-n.Stopped
}

func TestASubmissionIsFollowedToItsEnd(t *testing.T) {
	n, c := open(t)
	n.Hold = true
	sub, err := c.Transfer(t.Context(), view.Transfer{To: "beta", AmountUATP: 1_500_000})
	if err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if tx, err := c.WaitTx(waiting, sub.TxID); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("WaitTx = %+v, %v while it is pending, want the deadline", tx, err)
	}
	n.Release() // giving up waiting has undone nothing
	tx, err := c.WaitTx(t.Context(), sub.TxID)
	if err != nil || tx.State != view.TxFinal || !tx.OK {
		t.Errorf("WaitTx = %+v, %v", tx, err)
	}
	a, err := c.Account(t.Context(), "beta")
	if err != nil || a.AvailableUATP != 1_001_500_000 {
		t.Errorf("beta has %s, %v", a.AvailableUATP, err)
	}
}

func TestATaskIsSentWatchedAndFetched(t *testing.T) {
	n, c := open(t)
	ctx := t.Context()
	ask := view.NewTask{Type: "vision", Runtime: "wasm"}
	sub, err := c.PostTask(ctx, ask, strings.NewReader("\x00asm\x01\x00\x00\x00"), strings.NewReader("pixels"))
	if err != nil {
		t.Fatal(err)
	}
	task, err := c.Task(ctx, sub.TaskID.String())
	if err != nil {
		t.Fatal(err)
	}
	var seen []view.TaskState
	settled, err := c.WaitSettled(ctx, sub.TaskID.String(), func(now view.Task) {
		seen = append(seen, now.State)
		switch now.State {
		case view.TaskPosted:
			blob, err := n.PutBlob(ctx, strings.NewReader("edges"))
			if err != nil {
				t.Error(err)
			}
			task.State, task.Result, task.ResultSize = view.TaskProven, blob.CID, blob.Size
			n.SetTask(task)
		case view.TaskProven:
			if _, err := c.Acknowledge(ctx, sub.TaskID.String(), view.Mark{}); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || settled.Settlement != view.SettledCommit {
		t.Errorf("WaitSettled = %s, %v", settled.Settlement, err)
	}
	if diff := cmp.Diff([]view.TaskState{view.TaskPosted, view.TaskProven, view.TaskSettled}, seen); diff != "" {
		t.Errorf("states differ (-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	if id, err := c.Result(ctx, sub.TaskID.String(), &out); err != nil || id != task.Result || out.String() != "edges" {
		t.Errorf("Result = %s, %v, %q", id, err, out.String())
	}
}

func TestEveryNoKeepsItsClass(t *testing.T) {
	_, c := open(t)
	ctx := t.Context()
	for name, tt := range map[string]struct {
		call func() error
		want view.Code
	}{
		"unknown account":   {func() error { _, err := c.Account(ctx, "nobody"); return err }, view.CodeNotFound},
		"a path in a name":  {func() error { _, err := c.Account(ctx, "../status"); return err }, view.CodeNotFound},
		"a query in a name": {func() error { _, err := c.Account(ctx, "beta?x=1"); return err }, view.CodeNotFound},
		"over the balance": {func() error {
			_, err := c.Transfer(ctx, view.Transfer{To: "beta", AmountUATP: 1 << 40})
			return err
		}, view.CodeInsufficient},
		"not WASM": {func() error {
			_, err := c.PostTask(ctx, view.NewTask{Type: "vision", Runtime: "wasm"}, strings.NewReader(strings.Repeat("MZ", 1<<20)), strings.NewReader("x"))
			return err
		}, view.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			var e *view.Error
			if err := tt.call(); !errors.As(err, &e) || e.Code != tt.want {
				t.Errorf("error = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAnUnreadableInputIsNotTheNodesFault(t *testing.T) {
	n, c := open(t)
	_, err := c.PostTask(t.Context(), view.NewTask{Type: "vision", Runtime: "wasm"},
		strings.NewReader("\x00asm"), iotest.ErrReader(errors.New("bad sector")))
	if err == nil || !strings.Contains(err.Error(), "read the input: bad sector") || n.Txs() != 0 {
		t.Errorf("PostTask = %v with %d transactions", err, n.Txs())
	}
}

func TestWithoutATokenTheClientCanOnlyRead(t *testing.T) {
	_, c := open(t)
	reader, err := client.Open(t.TempDir(), c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Status(t.Context()); err != nil {
		t.Errorf("Status = %v", err)
	}
	var e *view.Error
	if _, err := reader.Transfer(t.Context(), view.Transfer{To: "beta", AmountUATP: 1}); !errors.As(err, &e) || e.Code != view.CodeUnauthorized {
		t.Errorf("Transfer = %v, want %s", err, view.CodeUnauthorized)
	}
}

func TestNobodyThereIsUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := client.New("http://"+addr, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Status = %v, want ErrUnreachable", err)
	}
}

// Something else may hold the port: it must not get the token by a redirect,
// nor be believed.
func TestWhatIsNotANodeIsNotBelieved(t *testing.T) {
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"HTML":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"404":       func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"500, JSON": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"message":"no"}`, 500) },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			c, err := client.New(s.URL, "secret")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Transfer(t.Context(), view.Transfer{To: "beta", AmountUATP: 1}); err == nil || !strings.Contains(err.Error(), "not a sage-p2p node") {
				t.Errorf("Transfer = %v, want a clear no", err)
			}
		})
	}
	if elsewhere != 0 {
		t.Error("the client followed a redirect")
	}
}

func TestAResultThatIsNotItsCIDIsRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+apitest.CID("another").String()+`"`)
		_, _ = io.WriteString(w, "forged")
	}))
	defer s.Close()
	c, err := client.New(s.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Result(t.Context(), "x", io.Discard); !errors.Is(err, client.ErrContent) {
		t.Errorf("Result = %v, want ErrContent", err)
	}
}

func TestOnlyPlainAddressesAreTaken(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:7423", "https://127.0.0.1:7423", "http://", "http://127.0.0.1/x", "ftp://127.0.0.1", "http://[::1"} {
		if _, err := client.New(base, ""); err == nil {
			t.Errorf("New(%q) = nil", base)
		}
	}
}

// A node that was killed leaves its address behind. Whoever has it now is not
// taken for it.
func TestAnotherHomesNodeIsNotSpokenTo(t *testing.T) {
	n, c := open(t)
	home := t.TempDir()
	if _, err := client.Open(home, ""); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Open of a home without a node = %v, want ErrUnreachable", err)
	}
	for name, text := range map[string]string{view.AddrFile: c.URL() + "\n", view.TokenFile: strings.Repeat("0", 64)} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stale, err := client.Open(home, "")
	if err != nil {
		t.Fatal(err)
	}
	defer stale.Close()
	if st, err := stale.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Status = %+v, %v, want ErrUnreachable", st, err)
	}
	if _, err := stale.Transfer(t.Context(), view.Transfer{To: "beta", AmountUATP: 1}); !errors.Is(err, client.ErrUnreachable) || n.Txs() != 0 {
		t.Errorf("Transfer = %v with %d transactions, want ErrUnreachable", err, n.Txs())
	}
}
