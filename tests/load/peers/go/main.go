// The peer in Go: gin and pgx's pool as their documentation writes it. gin validates the bodies, encoding/json writes
// the answers, the token is verified with every request, and pgx prepares each statement once per connection.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt"
	"github.com/jackc/pgx/v4/pgxpool"
)

func main() {
	pool, err := connect(os.Getenv("DATABASE_URL"), os.Getenv("DATABASE_POOL_SIZE"))
	if err != nil {
		log.Fatal(err)
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	tasks := tasks{pool}
	group := router.Group("/api/:user_id/tasks", authorize([]byte(os.Getenv("BETTER_AUTH_SECRET"))))
	group.GET("", tasks.list)
	group.POST("", tasks.create)
	group.GET("/:id", tasks.get)
	group.PATCH("/:id", tasks.update)
	group.PATCH("/:id/complete", tasks.toggle)
	group.DELETE("/:id", tasks.delete)
	log.Fatal(router.Run("127.0.0.1:" + os.Getenv("PORT")))
}

func connect(url, size string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	connections, err := strconv.ParseInt(size, 10, 32)
	if err != nil {
		return nil, err
	}
	config.MinConns, config.MaxConns = int32(connections), int32(connections)
	return pgxpool.ConnectConfig(context.Background(), config)
}

// authorize lets nobody through but the user whom the path names.
func authorize(secret []byte) gin.HandlerFunc {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}))
	key := func(*jwt.Token) (any, error) { return secret, nil }
	return func(c *gin.Context) {
		var claims jwt.RegisteredClaims
		scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
		if _, err := parser.ParseWithClaims(token, &claims, key); err != nil || !strings.EqualFold(scheme, "Bearer") {
			refuse(c, http.StatusUnauthorized, "Invalid token")
		} else if claims.Subject != c.Param("user_id") {
			refuse(c, http.StatusForbidden, "Access denied")
		}
	}
}

func refuse(c *gin.Context, status int, message string) {
	c.AbortWithStatusJSON(status, gin.H{"message": message})
}
