package replica

import "github.com/sage-p2p/sage-p2p/atp"

// Bounds of what the replica remembers (J7).
const (
	// MaxPeers bounds the connected peers that are remembered. Validators are
	// remembered beyond it: there are at most as many as the set has.
	MaxPeers = 512
	// MaxRange bounds the blocks of one request.
	MaxRange = 32

	maxAhead      = 4 * MaxRange // blocks above the height in progress, waiting for their turn
	maxRanges     = 3            // requests for ranges that are waited for at once
	maxLate       = 6            // others that nobody waits for any more, of the proven and of the rest each
	maxShirkers   = 128          // peers that did not serve, remembered when they have gone
	maxNewest     = 200          // statements held, each the newest of one validator, or of one that was
	maxCandidates = 8            // blocks of the height in progress that are held
	maxJobs       = 64           // unanswered signature checks for one peer
	maxStrange    = 32           // and for all peers without a vote together: those of validators wait behind them
	maxAnswers    = 8            // certificates sent to one peer in one second
	maxAlike      = 2            // peers asked for the same body at once
	maxFailures   = 8            // requests in a row after which a peer's claim is no longer believed
	maxShared     = 256          // transactions sent to some validators when a height is stuck
)

// patience is the attempt of TimerFetch that waits in full.
const patience = 1

// Patience.
const (
	restAfterFailure = 1 * atp.Second  // for each failure in a row, before a peer is asked again
	stalled          = 2 * atp.Second  // what is unanswered for so long is asked of another peer too
	maxLead          = 2 * atp.Second  // a fresh block's time may be ahead of our clock
	maxLag           = 10 * atp.Second // or behind it
	dueGrace         = 2 * atp.Second  // non-leaders leave a deadline to the leader for so long
	clockLag         = 5 * atp.Second  // a clock further behind the chain runs on from the chain's time
)
