package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	rpc "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/cometbft/cometbft/types"
	"golang.org/x/sync/errgroup"
)

// cometOrders is what a CometBFT process is told.
type cometOrders struct {
	Home   string
	RPC    string // host:port
	P2P    string
	Peers  string // id@host:port, with commas between
	Verify bool
}

// cometConfig is CometBFT tuned for speed on one machine: blocks as soon as
// there is something to put in, no pause after them, no index, no second check
// of the mempool, and no brake on the connections. What is on disk before a
// vote stays as it is.
func cometConfig(o cometOrders) *config.Config {
	c := config.DefaultConfig().SetRoot(o.Home)
	c.RPC.ListenAddress = "tcp://" + o.RPC
	c.P2P.ListenAddress = "tcp://" + o.P2P
	c.P2P.PersistentPeers = o.Peers
	c.P2P.PexReactor = false
	c.P2P.AddrBookStrict = false
	c.P2P.AllowDuplicateIP = true
	c.P2P.MaxNumInboundPeers = 100
	c.P2P.FlushThrottleTimeout = time.Millisecond
	c.P2P.SendRate, c.P2P.RecvRate = 500<<20, 500<<20
	c.Consensus.TimeoutCommit = 0
	c.Consensus.CreateEmptyBlocks = false
	c.Consensus.PeerGossipSleepDuration = 2 * time.Millisecond
	c.Consensus.PeerGossipIntraloopSleepDuration = 0
	c.Mempool.Size, c.Mempool.CacheSize = 50_000, 200_000
	c.Mempool.Recheck = false
	c.TxIndex.Indexer = "null"
	c.Storage.DiscardABCIResponses = true
	c.Instrumentation.Prometheus = false
	return c
}

// runComet is one process of CometBFT.
func runComet(o cometOrders, dec *json.Decoder, out io.Writer) error {
	c := cometConfig(o)
	key, err := p2p.LoadNodeKey(c.NodeKeyFile())
	if err != nil {
		return err
	}
	pv := privval.LoadFilePV(c.PrivValidatorKeyFile(), c.PrivValidatorStateFile())
	n, err := node.NewNode(context.Background(), c, pv, key,
		proxy.NewConnSyncLocalClientCreator(newApp(o.Verify)), node.DefaultGenesisDocProviderFunc(c),
		config.DefaultDBProvider, node.DefaultMetricsProvider(c.Instrumentation), log.NewNopLogger())
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode("ready"); err != nil {
		return err
	}
	untilEnd(dec)
	return n.Stop()
}

// cometNetwork is the processes of one run.
type cometNetwork struct {
	dir       string
	processes []*process
	rpc       []string
}

func (c *cometNetwork) end() {
	stopAll(c.processes)
	_ = os.RemoveAll(c.dir) // below the system's folder for such things
}

// foundComet makes homes with keys and one genesis, and starts n processes.
func foundComet(ctx context.Context, n int, verify bool) (*cometNetwork, error) {
	dir, err := os.MkdirTemp("", "sage-bench-comet-")
	if err != nil {
		return nil, err
	}
	net := &cometNetwork{dir: dir}
	genesis := types.GenesisDoc{ChainID: "bench", GenesisTime: time.Now(), ConsensusParams: types.DefaultConsensusParams()}
	var all []cometOrders
	var known []string // of those before, whom each dials
	for i := range n {
		o := cometOrders{Home: filepath.Join(dir, fmt.Sprint(i)), Peers: strings.Join(known, ","), Verify: verify}
		config.EnsureRoot(o.Home)
		c := cometConfig(o)
		pv, err := privval.GenFilePV(c.PrivValidatorKeyFile(), c.PrivValidatorStateFile(), nil)
		if err != nil {
			return net, err
		}
		pv.Save()
		key, err := p2p.LoadOrGenNodeKey(c.NodeKeyFile())
		if err != nil {
			return net, err
		}
		if o.RPC, err = freePort(); err != nil {
			return net, err
		}
		if o.P2P, err = freePort(); err != nil {
			return net, err
		}
		public, err := pv.GetPubKey()
		if err != nil {
			return net, err
		}
		genesis.Validators = append(genesis.Validators, types.GenesisValidator{PubKey: public, Power: 1})
		known = append(known, string(key.ID())+"@"+o.P2P)
		all = append(all, o)
	}
	for _, o := range all {
		if err := genesis.SaveAs(cometConfig(o).GenesisFile()); err != nil {
			return net, err
		}
	}
	for _, o := range all {
		var ready string
		p, err := start(orders{Comet: &o}, o.Home+".log", &ready)
		if p != nil {
			net.processes = append(net.processes, p)
		}
		if err != nil {
			return net, err
		}
		net.rpc = append(net.rpc, o.RPC)
	}
	return net, net.meet(ctx)
}

// freePort asks the system for a port that is free now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// meet waits until all are connected to all and the first blocks are made.
func (c *cometNetwork) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, addr := range c.rpc {
		at, err := rpc.New("http://" + addr + "/v1")
		if err != nil {
			return err
		}
		for {
			info, err := at.NetInfo(ctx)
			status, err2 := at.Status(ctx)
			if err == nil && err2 == nil && info.NPeers == len(c.rpc)-1 && status.SyncInfo.LatestBlockHeight > 0 {
				break
			}
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return fmt.Errorf("the processes have not met: %w", err)
			}
		}
	}
	return nil
}

// measureComet puts CometBFT under load.
func measureComet(ctx context.Context, o options, system string) (r result, err error) {
	network, err := foundComet(ctx, o.n, system == cometSigned)
	if network != nil {
		defer network.end()
	}
	if err != nil {
		return r, err
	}
	t := newTower()
	var entrances []*rpc.HTTP
	for _, addr := range network.rpc[:min(4, len(network.rpc))] {
		e, err := enter(ctx, addr)
		if err != nil {
			return r, err
		}
		defer func() { _ = e.Stop() }() // the run is over
		entrances = append(entrances, e)
	}
	g, ctx := errgroup.WithContext(ctx)
	watching, stop := context.WithCancel(ctx)
	for _, e := range entrances {
		blocks, err := e.Subscribe(ctx, "bench", types.EventQueryNewBlock.String(), 1_000)
		if err != nil {
			stop()
			return r, errorOf(err, g.Wait())
		}
		g.Go(func() error {
			for {
				select {
				case <-watching.Done():
					return nil
				case b := <-blocks:
					for _, tx := range b.Data.(types.EventDataNewBlock).Block.Txs {
						id := sha256.Sum256(tx)
						t.final(string(id[:]))
					}
				}
			}
		})
	}
	r, err = loadComet(ctx, o, t, entrances, network.processes)
	stop()
	r.System = system
	return r, errorOf(err, g.Wait())
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// enter returns a client with room for many submissions at once.
func enter(ctx context.Context, addr string) (*rpc.HTTP, error) {
	e, err := rpc.NewWithClient("http://"+addr+"/v1", &http.Client{Transport: &http.Transport{MaxConnsPerHost: 96, MaxIdleConnsPerHost: 96}})
	if err != nil {
		return nil, err
	}
	return e, e.Start()
}

// loadComet sends one transaction at a time, and then many.
func loadComet(ctx context.Context, o options, t *tower, entrances []*rpc.HTTP, processes []*process) (r result, err error) {
	ready := signAll(o)
	if o.lone > 0 {
		began := time.Now()
		if err := keepSending(ctx, t, entrances, ready[:1], o.lone); err != nil {
			return r, err
		}
		lone := t.between(began, time.Now())
		r.Lone = &lone
	}
	before, _, err := spent(processes)
	if err != nil {
		return r, err
	}
	already, began := t.count(), time.Now()
	if err := keepSending(ctx, t, entrances, ready[1:], o.load); err != nil {
		return r, err
	}
	after, rss, err := spent(processes)
	r.Load, r.RSS, r.Submitted = t.between(began.Add(o.warmup), began.Add(o.load)), rss, t.count()-already
	r.CPU = float64((after - before).Microseconds()) / float64(max(1, r.Submitted)) / float64(len(processes))
	return r, err
}

// signAll makes the transactions of every sender; the first is alone.
func signAll(o options) [][][]byte {
	all := make([][][]byte, 1+o.inflight)
	var g errgroup.Group
	for i := range all {
		g.Go(func() error {
			seed := sha256.Sum256([]byte(fmt.Sprint("peers ", i)))
			key := ed25519.NewKeyFromSeed(seed[:])
			n := int(8_000*o.load.Seconds())/o.inflight + 10
			if i == 0 {
				n = int(500 * o.lone.Seconds())
			}
			for k := range n {
				all[i] = append(all[i], newTx(key, uint64(k)))
			}
			return nil
		})
	}
	_ = g.Wait() // nothing in it fails
	return all
}

// keepSending has every sender send, each awaiting the end of its last, until d
// is over.
func keepSending(ctx context.Context, t *tower, entrances []*rpc.HTTP, ready [][][]byte, d time.Duration) error {
	until, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var g errgroup.Group
	for i, txs := range ready {
		at := entrances[i%len(entrances)]
		g.Go(func() error {
			for _, tx := range txs {
				id := sha256.Sum256(tx)
				done := t.take(string(id[:]))
				for {
					answer, err := at.BroadcastTxSync(ctx, tx)
					if err != nil {
						return err
					}
					if answer.Code == 0 {
						break
					}
					if err := pause(ctx, 2*time.Millisecond); err != nil {
						return err
					}
				}
				select {
				case <-done:
				case <-until.Done():
					return nil
				}
			}
			return nil
		})
	}
	return g.Wait()
}
