// Print each message of a stream, one per line, with coder/websocket: coder URL
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/coder/websocket"
)

func main() {
	ctx := context.Background()
	options := websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover}
	connection, _, err := websocket.Dial(ctx, os.Args[1], &options)
	if err != nil {
		log.Fatal(err)
	}
	connection.SetReadLimit(64 << 20)
	for {
		_, message, err := connection.Read(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(message))
	}
}
