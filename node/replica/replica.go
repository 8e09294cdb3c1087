package replica

import (
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Error classes of Step. A peer's fault is never an error of Step: it is a
// Fault in Publish, and the loop goes on.
var (
	// ErrFatal reports that a law broke or our own disk lied: the driver
	// executes nothing more and ends the process.
	ErrFatal = errors.New("replica: fatal")
)

// Chain is what is already final, and the bodies persisted for the height in
// progress: the store, read only.
type Chain interface {
	// Get returns a state node.
	Get(cid.Cid) ([]byte, error)
	// Body returns a persisted block by its ID, final or not.
	Body(cid.Cid) (chain.Block, bool, error)
	// Cert returns the certificate of a final height.
	Cert(bft.Height) (*bft.CommitCert, bool, error)
}

// Prover makes the proofs of the beacon: the signer, or a stand-in.
type Prover interface {
	// Prove returns the VRF proof of our key over alpha. It is a pure function.
	Prove(alpha []byte) ([]byte, error)
}

// Config is what a replica is started with.
type Config struct {
	Self      bft.ID
	Genesis   bft.GenesisHash
	Limits    chain.Limits
	Record    bft.Record // the signer's, as loaded; zero for an observer
	Head      chain.Header
	Heartbeat atp.Millis // a block at least this often; 0 is off
}
