package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
)

// A transaction of the application: key, signature, and what is signed. It is
// as long as a transfer of sage-p2p.
const (
	txBytes = 192
	txHead  = ed25519.PublicKeySize + ed25519.SignatureSize
)

// newTx makes the nth transaction of a key.
func newTx(key ed25519.PrivateKey, n uint64) []byte {
	body := make([]byte, txBytes-txHead)
	binary.BigEndian.PutUint64(body, n)
	tx := append([]byte(nil), key.Public().(ed25519.PublicKey)...)
	tx = append(tx, ed25519.Sign(key, body)...)
	return append(tx, body...)
}

// app keeps a number for each key, in memory. Where it checks signatures, it
// does so once for each transaction: when the mempool asks, or else in a block.
type app struct {
	abci.BaseApplication
	verify bool

	mu      sync.Mutex
	checked map[[sha256.Size]byte]bool // guarded by mu: good, and not in a block yet
	numbers map[string]uint64          // guarded by mu
	hash    [sha256.Size]byte          // guarded by mu
	height  int64                      // guarded by mu
}

func newApp(verify bool) *app {
	return &app{verify: verify, checked: make(map[[sha256.Size]byte]bool), numbers: make(map[string]uint64)}
}

func (a *app) good(tx []byte) bool {
	if len(tx) != txBytes {
		return false
	}
	return !a.verify || ed25519.Verify(tx[:ed25519.PublicKeySize], tx[txHead:], tx[ed25519.PublicKeySize:txHead])
}

// Info implements abci.Application.
func (a *app) Info(context.Context, *abci.InfoRequest) (*abci.InfoResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.height == 0 {
		return &abci.InfoResponse{}, nil
	}
	return &abci.InfoResponse{LastBlockHeight: a.height, LastBlockAppHash: a.hash[:]}, nil
}

// CheckTx implements abci.Application.
func (a *app) CheckTx(_ context.Context, req *abci.CheckTxRequest) (*abci.CheckTxResponse, error) {
	if !a.good(req.Tx) {
		return &abci.CheckTxResponse{Code: 1}, nil
	}
	if a.verify {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.checked[sha256.Sum256(req.Tx)] = true
	}
	return &abci.CheckTxResponse{}, nil
}

// FinalizeBlock implements abci.Application.
func (a *app) FinalizeBlock(_ context.Context, req *abci.FinalizeBlockRequest) (*abci.FinalizeBlockResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	results := make([]*abci.ExecTxResult, len(req.Txs))
	sum := sha256.New()
	sum.Write(a.hash[:])
	for i, tx := range req.Txs {
		results[i] = &abci.ExecTxResult{}
		id := sha256.Sum256(tx)
		if !a.checked[id] && !a.good(tx) {
			results[i].Code = 1
			continue
		}
		delete(a.checked, id)
		a.numbers[string(tx[:ed25519.PublicKeySize])]++
		sum.Write(id[:])
	}
	a.hash, a.height = [sha256.Size]byte(sum.Sum(nil)), req.Height
	return &abci.FinalizeBlockResponse{TxResults: results, AppHash: a.hash[:]}, nil
}
