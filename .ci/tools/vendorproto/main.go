// Command vendorproto prints buf/validate/validate.proto from the descriptor that is linked into protovalidate's Go
// module, so that the protobuf chain works without a schema registry.
package main

import (
	"log"
	"os"
	"path/filepath"

	validate "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/desc"
	"github.com/jhump/protoreflect/desc/protoprint"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: vendorproto DIR")
	}
	fd, err := desc.WrapFile(validate.File_buf_validate_validate_proto)
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(os.Args[1], fd.GetName())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		log.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := (&protoprint.Printer{}).PrintProtoFile(fd, f); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}
