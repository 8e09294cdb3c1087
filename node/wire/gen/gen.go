//go:build ignore

// Gen writes the encoders of package wire.
package main

import (
	"log"

	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/node/wire"
)

func main() {
	if err := cbg.WriteTupleEncodersToFile("cbor_gen.go", "wire",
		wire.Question{}, wire.Reply{}, wire.Parcel{}, wire.Contact{}, wire.BlobRequest{}, wire.FlowRequest{}, wire.Announcement{},
		wire.Invite{}, wire.Redemption{}, wire.Welcome{}); err != nil {
		log.Fatal(err)
	}
}
