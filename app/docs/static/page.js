// What Swagger UI does not do by itself: it signs in, forgives a pasted "Bearer", and offers the id of a task that exists.

let authorization = token && `Bearer ${token}`; // token is start.js's

const ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: !token,
  onComplete: signIn,
  requestInterceptor: authorize,
  responseInterceptor: lookAt,
});

function signIn() {
  if (token) {
    ui.preauthorizeApiKey("bearerAuth", token);
    offerNewest();
  }
}

function authorize(request) {
  if (request.headers.Authorization) {
    authorization = request.headers.Authorization.trim().replace(/^(Bearer\s+)+/i, "Bearer ");
    request.headers.Authorization = authorization;
  }
  return request;
}

function lookAt(response) {
  if (response.status === 201) {
    offer(JSON.parse(response.text).id);
  } else if (response.status === 204) {
    offerNewest(); // the one that was offered may be gone
  }
  return response;
}

async function offerNewest() {
  const answer = await fetch("/api/me/tasks?limit=1", { headers: { authorization } });
  if (answer.ok) {
    const page = await answer.json();
    const [newest] = [page, ...Object.values(page)].find(Array.isArray); // there may be an envelope around it
    offer(newest ? newest.id : "");
  }
}

// Fills in the id on every route that takes one.
function offer(id) {
  const { specSelectors, specActions } = ui.getSystem();
  for (const route of specSelectors.operations()) {
    for (const parameter of route.getIn(["operation", "parameters"]) ?? []) {
      if (parameter.get("name") === "task_id") {
        specActions.changeParamByIdentity([route.get("path"), route.get("method")], parameter, String(id));
      }
    }
  }
}
