package replica

import "github.com/sage-p2p/sage-p2p/atp"

// Bounds of what the replica remembers (J7). Each table names the one that
// binds it.
const (
	// MaxPeers bounds the connected peers that are remembered. Validators are
	// remembered beyond it: there are at most as many as the set has.
	MaxPeers = 512
	// MaxWantTxs bounds the transactions of one request.
	MaxWantTxs = 2_000
	// MaxRange bounds the blocks of one request.
	MaxRange = 32

	maxAhead      = 4 * MaxRange // blocks above the height in progress, waiting for their turn
	maxRanges     = 3            // requests for ranges that are unanswered at once
	maxCandidates = 8            // blocks of the height in progress that are held
	maxJobs       = 64           // unanswered signature checks for one peer
	maxAnswers    = 8            // certificates sent to one peer in one second
	maxAlike      = 2            // peers asked for the same body at once
)

// Patience.
const (
	restAfterFailure = 2 * atp.Second  // before a peer that failed to answer is asked again
	maxLead          = 2 * atp.Second  // a fresh block's time may be ahead of our clock
	maxLag           = 10 * atp.Second // or behind it
	dueGrace         = 2 * atp.Second  // non-leaders leave a deadline to the leader for so long
	clockLag         = 5 * atp.Second  // a clock further behind the chain runs on from the chain's time
)
