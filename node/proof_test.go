package node_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// genesis is that of the platform's home, as a file.
func (p *platform) genesis(t *testing.T) chain.Genesis {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(p.cfg.Home, "genesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := chain.ParseGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// remembering judges by ZIP-215, and the same signature once.
type remembering map[string]bool

func (r remembering) Verify(c bft.Claim) bool {
	key := string(c.Signer.ID) + string(c.Signature[:]) + string(c.Message)
	if _, known := r[key]; !known {
		r[key] = bft.ZIP215{}.Verify(c)
	}
	return r[key]
}

func (r remembering) VerifyBatch(_ io.Reader, batch []bft.Claim) []bool {
	good := make([]bool, len(batch))
	for i, c := range batch {
		good[i] = r.Verify(c)
	}
	return good
}

// proven verifies a file with nothing but a genesis.
func proven(file []byte, scheme bft.Scheme, g chain.Genesis) (chain.Proven, error) {
	p, err := chain.DecodeProof(file)
	if err != nil {
		return chain.Proven{}, err
	}
	return p.Verify(scheme, nil, g)
}

func TestAPaidTaskIsProvenToWhoeverHasTheGenesis(t *testing.T) {
	t.Parallel()
	module, input := program(t, programs.TextStats)
	all := federation(t, 4, offering(t, wasm(t)))
	registered(t, 4, all...)
	requester, executor, bystander := all[1], all[2], all[3]
	g := all[0].genesis(t)
	id := requester.posts(t, executor, module, input)
	requester.waitTask(t, id, "proven, its result here", hasResult)
	var no *view.Error
	if _, err := requester.TaskReceipt(t.Context(), id); !errors.As(err, &no) || no.Code != view.CodeRefused || !strings.Contains(no.Message, "the task is proven") {
		t.Errorf("a receipt of a task that is open: %v", err)
	}
	requester.acknowledges(t, id)
	bystander.waitTask(t, id, "settled", in(view.TaskSettled))
	file, err := bystander.TaskReceipt(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := proven(file, bft.ZIP215{}, g)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Task; p.ID != id.Cid || p.Requester.ID != requester.id(t) || p.Paid.Executor.ID.ID != executor.id(t) ||
		p.Paid.Outcome != task.Commit || p.Terms.Price != 50*atp || len(p.Steps) != 4 {
		t.Errorf("proven: %+v", p)
	}
	for _, b := range got.Blocks {
		if b.Validators != 4 || b.Quorum != 3 || b.Signatures < 3 {
			t.Errorf("block %d: %d of %d signatures, %d needed", b.Height, b.Signatures, b.Validators, b.Quorum)
		}
	}
	t.Logf("receipt of %d bytes, from %d blocks", len(file), len(got.Blocks))
	t.Run("no byte can be changed", func(t *testing.T) {
		scheme := remembering{}
		for i := range file {
			file[i] ^= 1 << (i % 8)
			if _, err := proven(file, scheme, g); !errors.Is(err, chain.ErrInvalid) {
				t.Fatalf("bit %d of byte %d: %v", i%8, i, err)
			}
			file[i] ^= 1 << (i % 8)
		}
	})
	t.Run("accounts", func(t *testing.T) {
		for _, who := range []peer.ID{executor.id(t), requester.id(t)} {
			file, err := all[0].AccountProof(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			got, err := proven(file, bft.ZIP215{}, g)
			if err != nil || got.Account.ID.ID != who || got.Account.Account.Available != all[0].has(t, who) {
				t.Errorf("%s: proven %+v, want %d µATP: %v", who, got.Account, all[0].has(t, who), err)
			}
		}
	})
	if _, err := requester.TaskReceipt(t.Context(), view.CID{Cid: coin.Sum(nil)}); !errors.As(err, &no) || no.Code != view.CodeNotFound {
		t.Errorf("a receipt of no task: %v", err)
	}
}

// TestBoundsOfProofsAgree holds what clients take against what nodes make.
func TestBoundsOfProofsAgree(t *testing.T) {
	if view.MaxProof != chain.MaxProofBytes {
		t.Errorf("clients take %d bytes, nodes make up to %d", view.MaxProof, chain.MaxProofBytes)
	}
}
