package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/relab/gorums"
	"github.com/relab/hotstuff"
	"github.com/relab/hotstuff/backend"
	"github.com/relab/hotstuff/blockchain"
	"github.com/relab/hotstuff/client"
	"github.com/relab/hotstuff/consensus"
	"github.com/relab/hotstuff/consensus/chainedhotstuff"
	"github.com/relab/hotstuff/crypto"
	"github.com/relab/hotstuff/crypto/eddsa"
	"github.com/relab/hotstuff/crypto/keygen"
	"github.com/relab/hotstuff/eventloop"
	"github.com/relab/hotstuff/leaderrotation"
	"github.com/relab/hotstuff/logging"
	"github.com/relab/hotstuff/modules"
	"github.com/relab/hotstuff/replica"
	"github.com/relab/hotstuff/synchronizer"
)

// hotStuffOrders is what a replica is told at first. The addresses of all
// follow once all have said theirs.
type hotStuffOrders struct {
	ID        hotstuff.ID
	Key       []byte // PEM
	BatchSize uint32
}

// hotStuffMember is where a replica is reached.
type hotStuffMember struct {
	ID      hotstuff.ID
	Key     []byte // PEM, public
	Replica string // host:port
	Client  string
}

// hotStuffConnect is how long connecting may take.
const hotStuffConnect = 10 * time.Second

// runHotStuff is one replica.
func runHotStuff(o hotStuffOrders, dec *json.Decoder, out io.Writer) error {
	logging.SetLogLevel("error")
	key, err := keygen.ParsePrivateKey(o.Key)
	if err != nil {
		return err
	}
	forReplicas, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	forClients, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	builder := modules.NewBuilder(o.ID, key)
	builder.Add(
		eventloop.New(1000),
		consensus.New(chainedhotstuff.New()),
		consensus.NewVotingMachine(),
		crypto.NewCache(eddsa.New(), 100),
		leaderrotation.NewRoundRobin(),
		synchronizer.New(synchronizer.NewViewDuration(1000, 500, 0, 1.2)), // its command line's defaults, in ms
		blockchain.New(),
		logging.New("replica-"+strconv.Itoa(int(o.ID))),
	)
	r := replica.New(replica.Config{
		ID: o.ID, PrivateKey: key, BatchSize: o.BatchSize,
		ManagerOptions: []gorums.ManagerOption{gorums.WithDialTimeout(hotStuffConnect)},
	}, builder)
	r.StartServers(forReplicas, forClients)
	if err := json.NewEncoder(out).Encode(hotStuffMember{Replica: forReplicas.Addr().String(), Client: forClients.Addr().String()}); err != nil {
		return err
	}
	var members []hotStuffMember
	if err := dec.Decode(&members); err != nil {
		return err
	}
	infos, err := replicaInfos(members, false)
	if err != nil {
		return err
	}
	if err := r.Connect(infos); err != nil {
		return err
	}
	r.Start()
	if err := json.NewEncoder(out).Encode("ready"); err != nil {
		return err
	}
	untilEnd(dec)
	r.Stop()
	return nil
}

// replicaInfos says where members are reached by each other, or by clients.
func replicaInfos(members []hotStuffMember, forClients bool) (infos []backend.ReplicaInfo, err error) {
	for _, m := range members {
		i := backend.ReplicaInfo{ID: m.ID, Address: m.Replica}
		if forClients {
			i.Address = m.Client
		}
		if i.PubKey, err = keygen.ParsePublicKey(m.Key); err != nil {
			return nil, err
		}
		infos = append(infos, i)
	}
	return infos, nil
}

// startHotStuff starts n replicas and joins them.
func startHotStuff(o options, dir string) (list []*process, members []hotStuffMember, err error) {
	for i := range o.n {
		public, private, err := keygen.GenerateED25519Key()
		if err != nil {
			return list, nil, err
		}
		m := hotStuffMember{ID: hotstuff.ID(i + 1)}
		if m.Key, err = keygen.PublicKeyToPEM(public); err != nil {
			return list, nil, err
		}
		their := hotStuffOrders{ID: m.ID, BatchSize: uint32(max(1, o.inflight/4))} // so that some blocks are under way
		if their.Key, err = keygen.PrivateKeyToPEM(private); err != nil {
			return list, nil, err
		}
		var said hotStuffMember
		p, err := start(orders{HotStuff: &their}, filepath.Join(dir, strconv.Itoa(i)+".log"), &said)
		if p != nil {
			list = append(list, p)
		}
		if err != nil {
			return list, nil, err
		}
		m.Replica, m.Client = said.Replica, said.Client
		members = append(members, m)
	}
	for _, p := range list {
		if err := p.tell(members); err != nil {
			return list, nil, err
		}
	}
	for _, p := range list {
		var ready string
		if err := p.stdout.Decode(&ready); err != nil {
			return list, nil, err
		}
	}
	return list, members, nil
}

// measureHotStuff puts relab/hotstuff under load with its own client, which
// sends each command to all replicas and takes the answer of f + 1. It needs
// more commands to decide one, so there is no measure of one alone.
func measureHotStuff(ctx context.Context, o options, system string) (r result, err error) {
	logging.SetLogLevel("error")
	dir, err := os.MkdirTemp("", "sage-bench-hotstuff-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	list, members, err := startHotStuff(o, dir)
	defer func() { stopAll(list) }()
	if err != nil {
		return r, err
	}
	infos, err := replicaInfos(members, true)
	if err != nil {
		return r, err
	}
	t, events := newTower(), eventloop.New(10_000)
	events.RegisterHandler(client.LatencyMeasurementEvent{}, func(e any) { t.note(e.(client.LatencyMeasurementEvent).Latency) })
	builder := modules.NewBuilder(1, nil)
	builder.Add(events, logging.New("client"))
	c := client.New(client.Config{
		MaxConcurrent: uint32(o.inflight), PayloadSize: txBytes, Input: zeros{}, RateLimit: 1e9,
		RateStepInterval: time.Hour, Timeout: 10 * time.Second,
		ManagerOptions: []gorums.ManagerOption{gorums.WithDialTimeout(hotStuffConnect)},
	}, builder)
	if err := c.Connect(infos); err != nil {
		return r, err
	}
	before, _, err := spent(list)
	if err != nil {
		return r, err
	}
	began := time.Now()
	c.Start()
	waited := pause(ctx, o.load)
	after, rss, err := spent(list)
	r = result{System: system, Load: t.between(began.Add(o.warmup), time.Now()), RSS: rss, Submitted: t.count()}
	r.CPU = float64((after - before).Microseconds()) / float64(max(1, r.Submitted)) / float64(len(list))
	c.Stop()
	return r, errorOf(err, waited)
}

// zeros is commands without content: nobody looks at it.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
func (zeros) Close() error               { return nil }
