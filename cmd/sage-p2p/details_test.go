package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func TestDataIsReadable(t *testing.T) {
	known := names{apitest.ID("beta"): "beta"}
	task := apitest.CID("a task").String()
	var b bytes.Buffer
	for _, data := range []string{
		fmt.Sprintf(`{"task":{"/":%q},"by":%q,"who":%q,"from":"","to":"POSTED","deadline":%d}`, task, apitest.ID("beta"), apitest.ID("gamma"), uint64(apitest.Start)),
		`{"terms":{"type":"vision","horizon":{"spatial":"local"},"price_uatp":50000000,"fee_uatp":0,"min_quality_ppm":700000,"offer_window_ms":10000,"private":false,"checker":null,"memory":268435456},"runtimes":["wasm","wasi"],"list":[{"a":1},{"b":-2}]}`,
		`{"name":"a\u001b[2Jb","deadline":0}`,
		`{}`, `[]`, `null`, ``, `{"half":`, `7`, `"text"`,
	} {
		fmt.Fprintf(&b, "%.20s…\n", data)
		details(&b, json.RawMessage(data), known)
	}
	golden(t, "details", b.String())
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(line); n > helpWidth+1 || strings.Contains(line, "\x1b") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

func TestALongFactGoesOnBelow(t *testing.T) {
	var b bytes.Buffer
	many := strings.Repeat("platform ", 20)
	facts(&b, [2]string{"signers", many}, [2]string{"nothing", ""}, [2]string{"id", "x"})
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "           platform") || lines[3] != "  id       x" {
		t.Errorf("facts wrote\n%s", b.String())
	}
}

func TestAMovementNamesWhomOrWhatItIsAbout(t *testing.T) {
	known := names{apitest.ID("beta"): "beta"}
	for _, tt := range []struct {
		m    view.Movement
		want string
	}{
		{view.Movement{Counterparty: apitest.ID("beta"), Subject: apitest.CID("x")}, "beta"},
		{view.Movement{Subject: apitest.CID("x")}, short(apitest.CID("x").String())},
		{view.Movement{}, "–"},
		{view.Movement{Counterparty: peer.ID("")}, "–"},
	} {
		if got := counterpart(tt.m, known); got != tt.want {
			t.Errorf("counterpart of %+v = %q, want %q", tt.m, got, tt.want)
		}
	}
}

func TestADeadlineInAnEventIsAnInstant(t *testing.T) {
	for data, want := range map[string]string{
		fmt.Sprintf(`{"by":"x","deadline":%d}`, uint64(answerBy)): "by=x deadline=2040-01-01T00:00:00",
		`{"by":"x","deadline":0}`:                                 "by=x", // there is none
	} {
		if got := dataText(json.RawMessage(data), "", nil); got != want {
			t.Errorf("%s is told as %q, want %q", data, got, want)
		}
	}
}

// Who copies the first address to another machine is to reach this one with it.
func TestAddressesOfThisMachineAloneComeLast(t *testing.T) {
	var b bytes.Buffer
	printReached(&b, []string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/192.0.2.1/tcp/1"})
	if want := "others reach it with --bootstrap\n  /ip4/192.0.2.1/tcp/1\n  /ip4/127.0.0.1/tcp/1\n  /ip6/::1/tcp/1\n"; b.String() != want {
		t.Errorf("wrote\n%s", b.String())
	}
}
