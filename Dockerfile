FROM python:3.12.11-slim-bookworm
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir '.[example]' && useradd --create-home tracebench
USER tracebench
ENTRYPOINT ["tracebench"]
