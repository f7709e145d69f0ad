// A gRPC server of known service time: go_server PORT MS.
//
// It sleeps, measures how long that really took, and reports just that in timing_info. Messages are
// passed on as bytes, so that nothing has to be generated.
package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
)

type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "proto" }

// answer is a PredictResponse: result (400 bytes) and one TimingInfo.
func answer(took time.Duration) []byte {
	timing := append([]byte{0x0a, 17}, "server_processing"...)
	timing = append(timing, 0x11)
	ms := float64(took.Nanoseconds()) / 1e6
	timing = binary.LittleEndian.AppendUint64(timing, math.Float64bits(ms))
	message := append([]byte{0x0a, 0x90, 0x03}, strings.Repeat("x", 400)...)
	return append(append(message, 0x12, byte(len(timing))), timing...)
}

func main() {
	pause, _ := strconv.ParseFloat(os.Args[2], 64)
	handler := func(_ any, stream grpc.ServerStream) error {
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		began := time.Now()
		time.Sleep(time.Duration(pause * 1e6))
		reply := answer(time.Since(began))
		return stream.SendMsg(&reply)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(handler)).Serve(listener)
}
