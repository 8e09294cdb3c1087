package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
)

func TestMain(m *testing.M) {
	processMain()
	os.Exit(m.Run())
}

func TestTheApplicationChecksSignaturesOnlyIfToldTo(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good := newTx(key, 1)
	forged := bytes.Clone(good)
	forged[txBytes-1] ^= 1
	for _, tt := range []struct {
		name   string
		verify bool
		tx     []byte
		want   uint32
	}{
		{"signed", true, good, 0},
		{"forged", true, forged, 1},
		{"short", true, good[:100], 1},
		{"forged, and nobody looks", false, forged, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(tt.verify)
			checked, err := a.CheckTx(context.Background(), &abci.CheckTxRequest{Tx: tt.tx})
			if err != nil || checked.Code != tt.want {
				t.Errorf("CheckTx gives %d, %v; want %d", checked.Code, err, tt.want)
			}
			for _, fresh := range []*app{a, newApp(tt.verify)} { // known from the mempool, and not
				block, err := fresh.FinalizeBlock(context.Background(), &abci.FinalizeBlockRequest{Height: 1, Txs: [][]byte{tt.tx}})
				if err != nil || block.TxResults[0].Code != tt.want {
					t.Errorf("FinalizeBlock gives %v, %v; want %d", block, err, tt.want)
				}
			}
		})
	}
}

func TestPercentileIsThatOfSageBench(t *testing.T) {
	if got := percentile([]time.Duration{1, 2, 3}, 50); got != 2 {
		t.Errorf("the middle of three is %d, want 2", got)
	}
	if got := percentile(nil, 99); got != 0 {
		t.Errorf("of nothing %d, want 0", got)
	}
}

func TestOnlyKnownSystemsAreMeasured(t *testing.T) {
	if _, err := parse([]string{"--systems", "cometbft,paxos"}, io.Discard); err == nil || !strings.Contains(err.Error(), "paxos") {
		t.Errorf("error %v, want one that names paxos", err)
	}
}

func TestEachSystemDecidesUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	for _, system := range []string{cometSigned, hotStuff} {
		var out bytes.Buffer
		args := []string{"--systems", system, "--validators", "4", "--inflight", "8", "--load", "2s", "--lone", "200ms"}
		if err := run(t.Context(), args, &out, io.Discard); err != nil {
			t.Errorf("%s: %v", system, err)
		}
	}
}
