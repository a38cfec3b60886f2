// Starts Swagger UI, which reads the server's own OpenAPI document.

globalThis.SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  // No badge of a validator on another site.
  validatorUrl: null,
});
