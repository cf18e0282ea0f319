package trust

// everybodys are the thumbprints of the keys whose private parts are published with the protocol's vectors (docs/vectors/keys.json):
// whoever uses one can be spoken for by everybody.
var everybodys = map[string]bool{
	"nZyKI2FdWRodtA0KYOrZjwc-v2kiQpzPihRyImMWlCM": true, // reseller token
	"MHcdMD46b8iyNvZaADsEM_aUuRhI7kWehlhb1WaAVx0": true, // reseller client
	"sback9K5bHbWAiROWmkhNXbZGZk3ByQOBle0OXQbbfo": true, // reseller business
	"sMOJNoHJj2FHi4VvjTPH5bckFhVn2-7AWoqLGvSePIA": true, // reseller next business
	"vr4CyfeaCEOPs0fd_6ZUK5XxvMySDJBmMz9o3RVULG8": true, // reseller sealing
	"JD06c6gASi9PG7KNa7krvwg7ZE0CgJg1n1AxFFzmSJc": true, // reseller dpop
	"28LpQT6rwhfkyNCLAWUFv3H9mn3SxcV9WN52SDBCtp4": true, // supplier token
	"KhJfCM6xIZ6oFiiJq-6r2T_jxfQFPlUOIgt1SX7KfY0": true, // supplier client
	"4LnQC8ZE3DQsmIC7yjRav7qnLeJ33x68s5o-fq5p91U": true, // supplier business
	"U9cn0nsQUGjkEk85H46kl1uIj17VB2T-YKetdIewA0g": true, // supplier next business
	"SdqBOg5ljx9Grzjp2FoE7TZfEEwbcf7IJxrIk1tQ2HA": true, // supplier sealing
	"6eLzgFNrV4JbdloycZGEwVHsX5JYrWbZI_y8zgsdRYs": true, // supplier dpop
	"9aix9llAUiKYGhTfJz7X1Tl6s1AFuE_MEcNBsWRh7T8": true, // supplier third business
	"qCUtYDYu5h9PYdTagJaDwaTW5CcXxzEqUVv_Xo8mSsE": true, // supplier fourth business
	"FliJy22ktirtGPDwiN1OMtvanYdc_JdQQFsxu_nnPRc": true, // supplier fifth business
}

// Secret refuses a member with a key that everybody has. fault.Precondition with reason member_document_invalid.
func (i Info) Secret() error {
	if everybodys[i.Thumbprint] || everybodys[i.Document.SealingKey] {
		return memberFault("it uses a key whose private part is published with the protocol's test vectors", nil)
	}
	return nil
}
