package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func TestTheClientFetchesProofs(t *testing.T) {
	n, c := open(t)
	got, err := c.AccountProof(t.Context(), "beta")
	if err != nil || string(got) != "proof of "+apitest.ID("beta").String() {
		t.Errorf("account: %q, %v", got, err)
	}
	var no *view.Error
	if _, err := c.TaskReceipt(t.Context(), "zzzzzz"); !errors.As(err, &no) || no.Code != view.CodeNotFound {
		t.Errorf("no task: %v", err)
	}
	page, err := n.Tasks(t.Context(), view.TaskFilter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range page.Tasks {
		task.State = view.TaskSettled
		n.SetTask(task)
		if got, err := c.TaskReceipt(t.Context(), task.ID.String()); err != nil || string(got) != "receipt of "+task.ID.String() {
			t.Errorf("task: %q, %v", got, err)
		}
	}
}

func TestTheClientTakesNoProofFromAnythingElse(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello")) },
		"without end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", view.ProofType)
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat("x", 1<<20))); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(h)
			defer srv.Close()
			c, err := client.New(srv.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got, err := c.AccountProof(t.Context(), "beta"); err == nil || !strings.Contains(err.Error(), "not a sage-p2p node") {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
