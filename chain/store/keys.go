package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Keys are readable paths. Heights are written so that keys sort by them, in
// indexes that are read newest first by the distance from the largest height.
//
//	/meta                        schema, genesis hash
//	/head                        ID of the newest final block        (head transaction)
//	/height/<height>             number of receipts, ID of its block (head transaction)
//	/cert/<height>               its certificate                     (head transaction)
//	/tx/<id>                     height and position                 (head transaction)
//	/sets/<height>               the height changed the validators   (head transaction)
//	/block/<id>                  header, number of transactions
//	/block/<id>/<position>       a transaction
//	/receipt/<height>/<position> a receipt with its events
//	/node/<id>                   a node of the state
//	/task/<id>/<height>          the task as the height left it
//	/account/<id>/<-height>      the height has events of the account
//	/tasks/<-height>-<position>  ID of a task that the height posted
//	/voted/<height>/<id>         a body that is not final
//	/local/<address>             a transaction made here, not final yet
//	/peers                       last known addresses
var (
	metaKey  = ds.RawKey("/meta")
	headKey  = ds.RawKey("/head")
	peersKey = ds.RawKey("/peers")
)

const (
	votedPrefix = "/voted"
	localPrefix = "/local"

	postedPrefix = "/tasks"
	setsPrefix   = "/sets"
)

func up(h bft.Height) string { return fmt.Sprintf("%016x", uint64(h)) }

func down(h bft.Height) string { return fmt.Sprintf("%016x", math.MaxUint64-uint64(h)) }

func heightKey(h bft.Height) ds.Key { return ds.RawKey("/height/" + up(h)) }
func certKey(h bft.Height) ds.Key   { return ds.RawKey("/cert/" + up(h)) }
func txKey(id cid.Cid) ds.Key       { return ds.RawKey("/tx/" + id.String()) }
func nodeKey(id cid.Cid) ds.Key     { return ds.RawKey("/node/" + id.String()) }
func blockKey(id cid.Cid) ds.Key    { return ds.RawKey("/block/" + id.String()) }
func localKey(a cid.Cid) ds.Key     { return ds.RawKey(localPrefix + "/" + a.String()) }

func setsKey(h bft.Height) ds.Key { return ds.RawKey(setsPrefix + "/" + up(h)) }

func receiptKey(h bft.Height, position int) ds.Key {
	return ds.RawKey(fmt.Sprintf("/receipt/%s/%04x", up(h), position))
}

func blockTxKey(block cid.Cid, position int) ds.Key {
	return ds.RawKey(fmt.Sprintf("/block/%s/%04x", block, position))
}

func votedKey(h bft.Height, id cid.Cid) ds.Key {
	return ds.RawKey(votedPrefix + "/" + up(h) + "/" + id.String())
}

func taskPrefix(id cid.Cid) string { return "/task/" + id.String() }

func taskKey(id cid.Cid, h bft.Height) ds.Key { return ds.RawKey(taskPrefix(id) + "/" + up(h)) }

func accountPrefix(id atp.ID) string { return "/account/" + id.String() }

func accountKey(id atp.ID, h bft.Height) ds.Key {
	return ds.RawKey(accountPrefix(id) + "/" + down(h))
}

func postedKey(h bft.Height, position int) ds.Key {
	return ds.RawKey(fmt.Sprintf("%s/%s-%04x", postedPrefix, down(h), position))
}

// postedHeight reads the height in the last part of a posted key.
func postedHeight(name string) (bft.Height, error) {
	h, _, _ := strings.Cut(name, "-")
	return parseDown(h)
}

// parseUp reads a height as up wrote it, at the end of a key or as one of its
// parts.
func parseUp(s string) (bft.Height, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("%w: height %q in a key", ErrCorrupt, s)
	}
	return bft.Height(n), nil
}

func parseDown(s string) (bft.Height, error) {
	h, err := parseUp(s)
	return math.MaxUint64 - h, err
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
