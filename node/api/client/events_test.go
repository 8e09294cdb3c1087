package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// run serves n from home until stop is called.
func run(t *testing.T, n *apitest.Node, home string) (stop func()) {
	t.Helper()
	s := api.New(api.Config{Home: home, Addr: "127.0.0.1:0"}, n)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for {
		if _, err := os.Stat(filepath.Join(home, view.AddrFile)); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// A reader goes on where it was when the node is back, at another address, and
// hears what it has missed for good.
func TestFollowGoesOnAfterARestart(t *testing.T) {
	n, home := apitest.New(), t.TempDir()
	stop := run(t, n, home)
	c, err := client.Open(home, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, gone, ended := make(chan string), make(chan error, 1), make(chan error, 1)
	go func() {
		ended <- c.Follow(ctx, client.EventQuery{Kinds: []view.EventKind{view.EventBlock, view.EventAlarm}}, func(e view.Event) error {
			text := fmt.Sprintf("%s %d", e.Kind, e.Seq)
			if e.Name == "LAST" {
				return errors.New("enough")
			}
			select {
			case got <- text:
			case <-ctx.Done():
			}
			return nil
		}, func(err error) { gone <- err })
	}()
	want := func(text string) {
		t.Helper()
		select {
		case have := <-got:
			if have != text {
				t.Fatalf("event = %s, want %s", have, text)
			}
		case <-ctx.Done():
			t.Fatalf("no event, want %s", text)
		}
	}
	want("block 1")
	want("block 2")
	n.Tell(view.Event{Kind: view.EventTask, Name: "X"})
	n.Tell(view.Event{Kind: view.EventAlarm, Name: "X"})
	want("alarm 4")
	stop()
	if err := <-gone; err == nil {
		t.Error("the node went away, and the reader is told of no error")
	}
	n.Restart()
	if _, err := n.Transfer(ctx, apitest.ID("beta"), 1); err != nil { // while nobody listens
		t.Fatal(err)
	}
	n.Restart()
	n.Tell(view.Event{Kind: view.EventAlarm, Name: "X", Height: 2})
	run(t, n, home)
	want("gap 0")
	want("block 0")
	want(fmt.Sprintf("alarm %d", n.Seq()))
	n.Tell(view.Event{Kind: view.EventAlarm, Name: "LAST"})
	if err := <-ended; err == nil || err.Error() != "enough" {
		t.Errorf("Follow = %v, want the reader's own error", err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	_, c := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Follow(ctx, client.EventQuery{}, func(view.Event) error { cancel(); return nil }, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want context.Canceled", err)
	}
}

func TestFollowOfNobodyFailsAtOnce(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	c, err := client.New(s.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	never := func(view.Event) error { t.Error("an event of nobody"); return nil }
	if err := c.Follow(t.Context(), client.EventQuery{}, never, nil); err == nil || !strings.Contains(err.Error(), "not a sage-p2p node") {
		t.Errorf("Follow = %v, want a clear no", err)
	}
	s.Close()
	if err := c.Follow(t.Context(), client.EventQuery{}, never, nil); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("Follow = %v, want ErrUnreachable", err)
	}
}

// What a stream holds is not believed to be small, or even to be events.
func TestFollowBoundsWhatItReads(t *testing.T) {
	for name, body := range map[string]string{
		"an endless line": ": \ndata: " + strings.Repeat("x", 5<<20),
		"no JSON":         "id: 1\ndata: {\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte(body))
			}))
			defer s.Close()
			c, err := client.New(s.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			err = c.Follow(ctx, client.EventQuery{}, func(e view.Event) error { t.Errorf("event %+v", e); return nil }, func(error) { cancel() })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Follow = %v, want that it was told of an end", err)
			}
		})
	}
}

func TestListsAreReadToTheirEnd(t *testing.T) {
	pages := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages++
		answer := view.Platforms{Platforms: []view.Platform{{PeerID: apitest.ID("x"), Name: r.URL.Query().Get("cursor")}}, Next: "x"}
		if pages == 3 {
			answer.Next = ""
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer s.Close()
	c, err := client.New(s.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.Platforms(t.Context())
	if err != nil || len(list) != 3 || list[2].Name != "x" {
		t.Errorf("Platforms = %+v, %v, want three pages", list, err)
	}
	pages = 3 // a node that lies about the end does not keep us for ever
	if _, err := c.Platforms(t.Context()); err == nil || !strings.Contains(err.Error(), "pages") {
		t.Errorf("Platforms without an end = %v", err)
	}
}

// covered is the method of the client for each route.
func TestTheClientHasEveryRoute(t *testing.T) {
	_, c := open(t)
	raw, err := c.OpenAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	methods := map[string]string{
		"getHealthz": "Healthy", "getReadyz": "Ready", "getMetrics": "Metrics", "getOpenapiJson": "OpenAPI",
		"getStatus": "Status", "getValidators": "Validators", "getPeers": "Peers", "getPeersWhy": "PeersWhy", "getDoctor": "Doctor", "getFederations": "Federations",
		"getWhyIdle": "WhyIdle", "getPlatforms": "Platforms", "getPlatformsOne": "Platform", "getPlatformsReputation": "Reputation",
		"getAccountsOne": "Account", "getAccountsHistory": "History", "getLocks": "Locks", "getBlocks": "Blocks", "getBlocksOne": "Block",
		"getAccountsProof": "AccountProof", "getTasksReceipt": "TaskReceipt",
		"getTxsOne": "Tx", "getTasks": "Tasks", "getTasksOne": "Task", "getTasksResult": "Result", "getTasksWhyNot": "WhyNot", "getEvents": "Follow",
		"postV1ChatCompletions": "Ask", "getV1Models": "Models", // the same, in the words of other clients
		"postAsk": "Ask", "getModels": "Models", "getTasksLogs": "TaskLogs",
		"postTxs": "SubmitTx", "postTransfers": "Transfer", "postLocks": "CreateLock", "postLocksCommit": "CommitLock",
		"postLocksRollback": "RollbackLock", "postPlatforms": "Register", "postTasks": "PostTask",
		"postTasksAcknowledge": "Acknowledge", "postTasksCancel": "CancelTask",
		"postTasksDispute": "DisputeTask", "postTasksAppeal": "AppealTask", "postTasksVerify": "VerifyTask",
		"postValidatorsJoin": "JoinValidators", "postValidatorsLeave": "LeaveValidators",
		"postKeyRotate": "RotateKey", "postValidatorsVote": "VoteOnValidator",
		"postStakeBond": "BondStake", "postStakeUnbond": "UnbondStake",
		"postStop": "Stop", "postInvites": "Invite",
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			if _, has := reflect.TypeOf(c).MethodByName(methods[op.OperationID]); !has {
				t.Errorf("%s %s (%s) has no method of the client: give it one, and name it here", method, path, op.OperationID)
			}
		}
	}
}

func TestTheClientReadsExplanations(t *testing.T) {
	n, c := open(t)
	n.Findings = []view.Finding{{About: "clock", Verdict: view.VerdictProblem, Text: "it is off", Cure: "set it", Command: "timedatectl"}}
	n.SetTask(view.Task{ID: apitest.CID("a task"), State: view.TaskPosted, Requester: apitest.ID("alpha"), Executor: apitest.ID("beta")})
	ctx, task := t.Context(), apitest.CID("a task")
	for name, read := range map[string]func() (have, want any, err error){
		"doctor":    func() (any, any, error) { return both(c.Doctor(ctx))(n.Doctor(ctx)) },
		"peers why": func() (any, any, error) { return both(c.PeersWhy(ctx))(n.PeersWhy(ctx)) },
		"why idle":  func() (any, any, error) { return both(c.WhyIdle(ctx))(n.WhyIdle(ctx)) },
		"why not": func() (any, any, error) {
			return both(c.WhyNot(ctx, task.String(), "gamma"))(n.WhyNot(ctx, task, apitest.ID("gamma")))
		},
		"reputation": func() (any, any, error) {
			return both(c.Reputation(ctx, "beta"))(n.Reputation(ctx, apitest.ID("beta")))
		},
		"page": func() (any, any, error) {
			page, err := c.Events(ctx, client.EventQuery{After: 1}, 10)
			return both([]view.Event(page.Events), err)(n.Events(ctx, 1, 10))
		},
	} {
		have, want, err := read()
		if diff := cmp.Diff(want, have, cmp.Comparer(func(a, b view.CID) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("%s: %v, differs (-node +client):\n%s", name, err, diff)
		}
	}
	if err := errors.Join(c.Healthy(ctx), c.Ready(ctx)); err != nil {
		t.Errorf("health = %v", err)
	}
	var no *view.Error
	if err := c.Metrics(ctx, nil); !errors.As(err, &no) || no.Code != view.CodeNotFound {
		t.Errorf("Metrics of a node that keeps none = %v", err)
	}
}

// both pairs what the client and the node say.
func both[T any](have T, err error) func(T, error) (any, any, error) {
	return func(want T, nodeErr error) (any, any, error) { return have, want, errors.Join(err, nodeErr) }
}

func TestTheClientAsksAndReadsLogs(t *testing.T) {
	n, c := open(t)
	ctx := t.Context()
	q := view.Question{Messages: []view.Message{{Role: "user", Content: "Who?"}}}
	var told []view.AskNews
	hear := func(x view.AskNews) error { told = append(told, x); return nil }
	if err := c.Ask(ctx, q, hear); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(apitest.Answered("Hello, ", "world"))
	got, gotErr := json.Marshal(told)
	if err := errors.Join(err, gotErr); err != nil || string(got) != string(want) {
		t.Errorf("told %s, %v, want %s", got, err, want)
	}
	enough := errors.New("enough")
	if err := c.Ask(ctx, q, func(view.AskNews) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("who has had enough is told %v", err)
	}
	n.News = apitest.Answered("half")[:3]
	if err := c.Ask(ctx, q, hear); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("an answer that breaks off: %v", err)
	}
	n.News = append(n.News, view.AskNews{Step: view.AskFailed, Error: &view.Error{Code: view.CodeTimeout, Message: "late"}})
	var no *view.Error
	if err := c.Ask(ctx, q, hear); !errors.As(err, &no) || no.Code != view.CodeTimeout {
		t.Errorf("a question that fails: %v", err)
	}
	models, err := c.Models(ctx)
	if err != nil || len(models) != 2 {
		t.Errorf("Models = %v, %v", models, err)
	}
	n.SetTask(view.Task{ID: apitest.CID("a task")})
	n.Logs = "it went well\n"
	var logs strings.Builder
	if err := c.TaskLogs(ctx, apitest.CID("a task").String(), true, &logs); err != nil || logs.String() != n.Logs {
		t.Errorf("TaskLogs = %q, %v", logs.String(), err)
	}
}
