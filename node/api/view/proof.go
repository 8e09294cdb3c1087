package view

// ProofType is the media type of a proof: DAG-CBOR, as package chain reads it.
const ProofType = "application/vnd.ipld.dag-cbor"

// MaxProof bounds a proof, in bytes.
const MaxProof = 16 << 20
